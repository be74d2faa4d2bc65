"""Delete a picture for its owner: from its bucket, and from the index at once."""

import math

from shared.errors import Forbidden
from shared.models import Change, ObjectEvent, Standing
from shared.ports import Admission, BucketRules, ImageIndex, ImageSearch, ObjectStore


def remove(
    image_id: int,
    *,
    caller_token: str,
    search: ImageSearch,
    index: ImageIndex,
    rules: BucketRules,
    store: ObjectStore,
    admission: Admission,
    deadline: float = math.inf,
) -> None:
    """Delete the caller's own picture. The bucket's event, when it comes, finds nothing left to do.

    Raises `UnknownImage`, `Forbidden` for another's picture or when the bucket's policies keep it,
    `AccessDenied`, `RateLimited`, `Unavailable`.
    """
    try:
        image = search.image(image_id, caller_token=caller_token, deadline=deadline)
    finally:  # to be told that there is none counts, too
        admission.wait()
    if not image.is_own:
        raise Forbidden("this picture is not yours: only its owner may delete it")
    # Who owns a name for ever; another's upload may have taken this one, and the index not know it yet.
    if not store.knows_callers and rules.owner_rule(image.entry.ref.bucket) != "first_segment":
        raise Forbidden("only pictures whose names begin with their owner's may be deleted here (owner_rule)")
    store.delete([image.entry.ref], caller_token=caller_token)
    event = ObjectEvent(image.entry.ref, Change.REMOVED, image.ordering_key, is_of_sweep=True)
    [removed] = index.remove([event])
    if removed.standing is Standing.CHANGED:
        raise Forbidden("the bucket keeps this picture: its policies do not let you delete it")
    if removed.old_preview is not None:
        store.delete([removed.old_preview])
