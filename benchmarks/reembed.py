"""One model after another while searches go on, then audits with known faults: `make bench-reembed`.

`IMAGES` pictures, 20,000 unless the environment says otherwise; a few hundred are enough for a quick look,
but the bar of the rate is for 5,000 and more. `AUDIT_KEYS` of the audit, a million; 20,000 for a quick look.
`RECALL_ROWS` of the check of the recall, 20,000; 3,000 for a quick look.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from benchmarks import report
from benchmarks.reembed_parts import auditing, recall, switch
from benchmarks.reembed_parts.sheet import Found

_PARTS: Final[Sequence[Callable[[], Found]]] = (switch.measure, auditing.measure, recall.measure)


def main() -> int:
    """Measure, print, write build/bench/reembed.json. 1 when a target is missed."""
    signal.signal(signal.SIGTERM, _interrupt)
    found = [measure() for measure in _PARTS]
    rows = [row for its_rows, _, _ in found for row in its_rows]
    targets = [target for _, its_targets, _ in found for target in its_targets]
    details = [detail for _, _, its_details in found for detail in its_details]
    return report.publish("reembed", rows, targets, details=details)


def _interrupt(*_: object) -> NoReturn:
    """As Ctrl-C does: everything is put away."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
