"""What is asked once, however many checks want to know."""

from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

from infra.doctor.findings import CannotTell

_Reply = TypeVar("_Reply")


class asked_once(Generic[_Reply]):  # noqa: N801 -- used as a decorator
    """A property that is kept, a `CannotTell` too. Threads wait for the one that asks: functools' own
    cached_property lets them all ask from Python 3.12 on."""

    def __init__(self, ask: Callable[..., _Reply]) -> None:
        self._ask = ask
        self._asking = RLock()
        self.__doc__ = ask.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.kept_as = f"_{name}"

    def __get__(self, instance: object, owner: type | None = None) -> _Reply:
        kept = instance.__dict__
        with self._asking:
            if self.kept_as not in kept:
                kept[self.kept_as] = self._outcome(instance)
        outcome: _Reply | CannotTell = kept[self.kept_as]
        if isinstance(outcome, CannotTell):
            raise type(outcome)(outcome.why, outcome.mend, outcome.name)
        return outcome

    def _outcome(self, instance: object) -> _Reply | CannotTell:
        try:
            return self._ask(instance)
        except CannotTell as exc:
            return exc
