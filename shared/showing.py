"""Show one picture: what is on record of it, where it stands, and links to it."""

import math
from functools import partial

from shared.hits import ImageState, Links
from shared.linking import link
from shared.models import ObjectRef
from shared.ports import Admission, ImageSearch, ObjectLinks


def show(
    image: int | ObjectRef,
    *,
    caller_token: str,
    index: ImageSearch,
    store: ObjectLinks,
    admission: Admission,
    deadline: float = math.inf,
) -> tuple[ImageState, Links]:
    """A picture by its id, or by its name in its bucket, as the caller may see it.

    Raises `UnknownImage`, `AccessDenied`, `RateLimited`, `Unavailable`.
    """
    asked = partial(index.image_named, image) if isinstance(image, ObjectRef) else partial(index.image, image)
    try:
        state = asked(caller_token=caller_token, deadline=deadline)
    finally:  # to be told that there is none counts, too
        admission.wait()
    [links] = link([state.entry], store=store, caller_token=caller_token, deadline=deadline)
    return state, links
