"""Counts what an audit sees, finds and repairs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from shared.audits import AuditedImage, Fault, FaultKind, Progress, Stage
from shared.errors import PixseekError, Unavailable
from shared.models import StoredObject

_EXAMPLES: Final = 5


class Tally:
    """An audit's progress while it moves."""

    def __init__(self, progress: Progress) -> None:
        """From where it stands."""
        self.stage = progress.stage
        self.position = progress.position
        self.objects = progress.objects
        self.images = progress.images
        self.faults = Counter(progress.faults)
        self.repaired = Counter(progress.repaired)
        self._examples: defaultdict[FaultKind, list[str]] = defaultdict(list)
        self._refused = 0
        self._first_refusal: PixseekError | None = None
        for kind, names in progress.examples.items():
            self._examples[kind] += names

    def see(self, stored: StoredObject | None, image: AuditedImage | None) -> None:
        """What is under one name."""
        self.objects += stored is not None
        self.images += image is not None and image.is_live

    def find(self, fault: Fault) -> None:
        """One fault."""
        self.faults[fault.kind] += 1
        if len(self._examples[fault.kind]) < _EXAMPLES:
            self._examples[fault.kind].append(fault.ref.name)

    def take_back(self, kind: FaultKind, names: Sequence[str]) -> None:
        """Faults that were none."""
        self.faults[kind] -= len(names)
        self._examples[kind] = [name for name in self._examples[kind] if name not in names]

    def refuse(self, errors: Sequence[PixseekError]) -> None:
        """Why some were left as they are; of this run."""
        self._refused += len(errors)
        self._first_refusal = self._first_refusal or next(iter(errors), None)

    @property
    def refusal(self) -> str | None:
        """In words that name no object, as they are kept."""
        first = self._first_refusal
        if first is None:
            return None
        why = str(first) if isinstance(first, Unavailable) else type(first).__name__
        return f"{self._refused} refused, and left as they are; the first: {why}"

    def enter(self, stage: Stage) -> None:
        """The next stage begins."""
        self.stage, self.position = stage, ""

    def progress(self) -> Progress:
        """How it stands now."""
        return Progress(
            self.stage,
            self.position,
            self.objects,
            self.images,
            {kind: count for kind, count in self.faults.items() if count},
            {kind: tuple(names) for kind, names in self._examples.items() if names},
            {kind: count for kind, count in self.repaired.items() if count},
        )
