"""What can go wrong.

PixseekError
├── InputError          permanent: the request, event or picture is wrong; do not send it again
│   ├── PictureError    these bytes cannot be embedded; the reason goes on record with the picture
│   ├── TooLarge        more bytes than are read
│   ├── AccessDenied    nobody knows who calls
│   ├── Forbidden       the caller is known and may not do this
│   ├── UnknownImage    there is none, or none that the caller may see
│   ├── NotIndexed      the picture cannot be searched with yet
│   └── NotNow          something else has to come first
├── RateLimited         the caller asks too often
├── ObjectGone          the object is no longer in its bucket
├── SettingsError       the deployment is wrong; an operator must act
└── Unavailable         something we depend on does not answer; worth a retry
    ├── NotReady        parts of the service are not at work
    ├── OverBudget      the spend guard allows no call to the model now
    └── ObjectRefused   the bucket has the object and does not let us read it
"""

from collections.abc import Sequence
from datetime import datetime


class PixseekError(Exception):
    """The root: every error that pixseek raises on purpose."""


class InputError(PixseekError):
    """Permanent: the same input will fail again. Answered with 4xx, never retried."""


class PictureError(InputError):
    """The bytes are not a picture that can be embedded."""


class TooLarge(InputError):
    """More bytes came than are read."""


class AccessDenied(InputError):
    """The caller is not known: without a token, or with one that does not hold (any more)."""


class Forbidden(InputError):
    """The caller is known, and may not do this."""


class UnknownImage(InputError):
    """No such picture, or none that the caller may see: one answer for both."""


class NotIndexed(InputError):
    """The picture is on record, and has no vector yet."""


class NotNow(InputError):
    """What stands does not allow it: something else has to come first."""


class RateLimited(PixseekError):
    """The caller has used up what one may ask for."""

    def __init__(self, wait_s: float) -> None:
        """`wait_s`: when the next request is free."""
        super().__init__(f"too many requests: the next one is free in {wait_s:.1f} s")
        self.wait_s = wait_s


class ObjectGone(PixseekError):
    """The object vanished from its bucket."""


class SettingsError(PixseekError):
    """A setting is missing or wrong."""


class Unavailable(PixseekError):
    """A service that we depend on failed in a way that a retry may mend. Answered with 503."""


class NotReady(Unavailable):
    """Searches cannot be answered now."""

    def __init__(self, parts: Sequence[str]) -> None:
        """`parts` that are not at work, by their names."""
        super().__init__(f"not at work: {', '.join(parts)}")


class ObjectRefused(Unavailable):
    """The object is there, and we may not read it: the next try may be let in."""


class OverBudget(Unavailable):
    """The model may not be called now: the rate or the day's budget is used up."""

    def __init__(self, frees_at: datetime | None = None) -> None:
        """`frees_at`: when calls are free again; None when that is only later than the caller can wait."""
        when = (
            "within the time that is left" if frees_at is None else f"before {frees_at:%Y-%m-%d %H:%M:%S %Z}"
        )
        super().__init__(f"the spend guard allows no call to the model {when} (`pixseek status`)")
        self.frees_at = frees_at
