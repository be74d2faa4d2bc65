"""What can go wrong.

PixseekError
├── InputError          permanent: the request, event or picture is wrong; do not send it again
│   ├── PictureError    these bytes cannot be embedded; the reason goes on record with the picture
│   └── AccessDenied    the caller may not do this
├── ObjectGone          the object is no longer in its bucket
├── SettingsError       the deployment is wrong; an operator must act
└── Unavailable         something we depend on does not answer; worth a retry
"""


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
