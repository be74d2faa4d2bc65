"""What can go wrong.

PixseekError
├── InputError          permanent: the request, event or picture is wrong; do not send it again
│   ├── PictureError    these bytes cannot be embedded; the reason goes on record with the picture
│   └── AccessDenied    the caller may not do this
├── ObjectGone          the object is no longer in its bucket
├── SettingsError       the deployment is wrong; an operator must act
└── Unavailable         something we depend on does not answer; worth a retry
    ├── OverBudget      the spend guard allows no call to the model now
    └── ObjectRefused   the bucket has the object and does not let us read it
"""

from datetime import datetime


class PixseekError(Exception):
    """The root: every error that pixseek raises on purpose."""


class InputError(PixseekError):
    """Permanent: the same input will fail again. Answered with 4xx, never retried."""


class PictureError(InputError):
    """The bytes are not a picture that can be embedded."""


class AccessDenied(InputError):
    """The caller is not known, or may not do this."""


class ObjectGone(PixseekError):
    """The object vanished from its bucket."""


class SettingsError(PixseekError):
    """A setting is missing or wrong."""


class Unavailable(PixseekError):
    """A service that we depend on failed in a way that a retry may mend. Answered with 503."""


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
