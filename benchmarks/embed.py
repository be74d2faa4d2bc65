"""What embedding takes, on this machine and through Roboflow's API: `make bench-embed`."""

import sys

from benchmarks import report
from benchmarks.embed_parts import hosted, local
from benchmarks.embed_parts.sheet import Findings


def main() -> int:
    """Measure, print, write build/bench/embed.json. 1 when a target is missed."""
    findings = Findings()
    hosted.measure(findings)
    local.measure(findings, report.FOLDER / "clip")
    return report.publish("embed", findings.rows, findings.targets)


if __name__ == "__main__":
    sys.exit(main())
