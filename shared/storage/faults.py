"""obstore's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import ObjectGone, PixseekError, SettingsError, Unavailable


@contextmanager
def translated(provider: str, *, refused: PixseekError) -> Iterator[None]:
    """Around calls of obstore. Raises `refused` for a 403, `ObjectGone` for a 404, `SettingsError` for
    credentials that are none, and `Unavailable` for the rest, which obstore does not tell apart.
    """
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as exc:
        raise ObjectGone("no object of this name in the bucket") from exc
    except exceptions.PermissionDeniedError as exc:
        raise refused from exc
    except exceptions.UnauthenticatedError as exc:
        raise SettingsError(f"{provider} does not know our credentials (401)") from exc
    except exceptions.InvalidPathError as exc:
        # Only of a list: our own names are checked before.
        message = (
            "the bucket holds a name that obstore cannot express: rename what has // or control characters"
        )
        raise SettingsError(message) from exc
    except exceptions.BaseError as exc:
        raise Unavailable(f"{provider} does not answer, or answers with an error") from exc


def no_bucket(bucket: str) -> SettingsError:
    """The operator makes buckets."""
    return SettingsError(f"there is no bucket {bucket!a}: make it, or correct its name in the settings")
