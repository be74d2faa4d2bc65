"""Let a caller upload a picture straight to a bucket: the bucket's event does the rest."""

from collections.abc import Callable
from uuid import uuid4

from shared.errors import AccessDenied, Forbidden
from shared.models import ObjectRef, UploadLink
from shared.ports import Admission, BucketRules, ObjectLinks


def begin_upload(
    bucket: str,
    content_type: str,
    extension: str,
    *,
    user_id: str,
    caller_token: str,
    rules: BucketRules,
    store: ObjectLinks,
    admission: Admission,
    new_id: Callable[[], object] = uuid4,
) -> tuple[ObjectRef, UploadLink]:
    """A right to upload one object, under a name of ours that begins with its owner's.

    Raises `Forbidden` where the bucket's rules do not let the caller, `InputError` for a store without such
    rights, `RateLimited`, `Unavailable`.
    """
    admission.wait()
    # Supabase's policies decide by themselves; other stores know no callers.
    if not store.knows_callers and rules.owner_rule(bucket) != "first_segment":
        raise Forbidden(
            f"nobody may upload to {bucket!a}: only buckets whose owners are the first segments of the names "
            "(put_bucket_v1, owner_rule first_segment) take uploads"
        )
    ref = ObjectRef(bucket, f"{user_id}/{new_id()}.{extension}")
    try:
        return ref, store.upload_link(ref, content_type=content_type, caller_token=caller_token)
    except AccessDenied as exc:
        raise Forbidden(f"the policies of {bucket!a} do not let you upload") from exc
