"""Links to pictures that the caller's own query found, and to their previews."""

import math
from collections.abc import Sequence
from functools import partial

from shared.beside import outcome, start
from shared.hits import Entry, Links
from shared.models import ObjectRef
from shared.ports import ObjectLinks


def link(
    entries: Sequence[Entry], *, store: ObjectLinks, caller_token: str, deadline: float = math.inf
) -> list[Links]:
    """Links to each picture, in order. Raises `AccessDenied`, `Unavailable`.

    The bucket decides about a private picture, with the caller's rights: the index may lag behind it. What
    the index calls public, and previews, are linked with our own. Where the picture may not be read, the
    preview may not be either.
    """
    private = [entry.ref for entry in entries if not entry.is_public]
    ours = [entry.ref for entry in entries if entry.is_public]
    previews = [entry.preview for entry in entries if entry.preview is not None]
    wanted = [
        (refs, token) for refs, token in ((previews, None), (ours, None), (private, caller_token)) if refs
    ]
    # All of them beside: a store that hangs is not waited for longer than the caller would.
    begun = [start(partial(_signed, store, *one)) for one in wanted]
    links: dict[ObjectRef, str | None] = {}
    for one in begun:
        found = outcome(one, deadline=deadline, of="the links")
        links |= found
    return [_links_of(entry, links) for entry in entries]


def _signed(
    store: ObjectLinks, refs: Sequence[ObjectRef], caller_token: str | None
) -> dict[ObjectRef, str | None]:
    return dict(zip(refs, store.links(refs, caller_token=caller_token), strict=True))


def _links_of(entry: Entry, links: dict[ObjectRef, str | None]) -> Links:
    url = links.get(entry.ref)
    return Links(url, links.get(entry.preview) if url is not None and entry.preview is not None else None)
