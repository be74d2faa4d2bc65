"""Items in batches; one that is refused does not cost the others of its batch their answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from shared.errors import AccessDenied, InputError, NotNow, ObjectRefused, PixseekError

AT_ONCE: Final = 500
"""Objects of one call."""

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def in_batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Some at a time."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def each(
    items: Sequence[_Item], call: Callable[[Sequence[_Item]], Sequence[_Answer]]
) -> list[tuple[_Item, _Answer | PixseekError]]:
    """Each item with its answer, or with what refuses it: a name, an object that may not be read.

    A call that is refused as a whole is made again for its halves. Raises what is no item's fault.
    """
    if not items:
        return []
    try:
        return list(zip(items, call(items), strict=True))
    except (NotNow, AccessDenied):
        raise
    except (InputError, ObjectRefused) as exc:
        if len(items) == 1:
            return [(items[0], exc)]
    middle = len(items) // 2
    return each(items[:middle], call) + each(items[middle:], call)
