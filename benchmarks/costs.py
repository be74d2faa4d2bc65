"""What docs/costs.md computes, from what `make bench-coldstart` measured: `python -m benchmarks.costs`."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks import report
from benchmarks.coldstart_parts.assumptions import (
    KNOWN_SHARE,
    KNOWN_TEXT,
    NEW_TEXT,
    PICTURE,
    PICTURE_ON_S3,
    monthly_rows,
    sentences,
)
from benchmarks.coldstart_parts.costs import MODEL_WAIT_MS, Times, billed_ms, costs, lambda_usd
from benchmarks.coldstart_parts.figures import INDEX, INDEX_S3, SEARCH
from benchmarks.coldstart_parts.prices import ALL, LAMBDA_X86

_MEMORY_MB: Final = 1024


def main() -> int:
    """Print them as markdown. 1 when nothing has been measured."""
    path = report.FOLDER / "coldstart.json"
    if not path.exists():
        sys.stderr.write(f"{path} is missing: run `make bench-coldstart` first\n")
        return 1
    rows = {row["function"]: row for row in json.loads(path.read_text())["rows"]}
    parts = (list(_tables(rows)), [_mixed(rows[SEARCH])], sentences(), monthly_rows(), price_table())
    sys.stdout.write("\n\n".join("\n".join(part) for part in parts) + "\n")
    return 0


def _tables(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    search = rows[SEARCH]
    cases = {
        "a million searches, each text known": (times_of_known(search), KNOWN_TEXT),
        "a million searches, each text new": (times_of_new(search), NEW_TEXT),
        "a million pictures in Supabase Storage": (times_of_new(rows[INDEX]), PICTURE),
        "a million pictures in S3": (times_of_new(rows[INDEX_S3]), PICTURE_ON_S3),
    }
    yield "| | billed ms | Lambda, x86_64 | arm64 | all but Roboflow, arm64 | with Roboflow | of what |"
    yield "|---|---|---|---|---|---|---|"
    for name, (times, work) in cases.items():
        parts = costs(times, _MEMORY_MB, work)
        total = sum(parts.values())
        figures = [
            f"{billed_ms(times, _MEMORY_MB):.0f}",
            *(
                f"${usd:.2f}"
                for usd in (
                    lambda_usd(times, _MEMORY_MB, LAMBDA_X86),
                    lambda_usd(times, _MEMORY_MB),
                    total - parts.get("Roboflow", 0.0),
                    total,
                )
            ),
            ", ".join(f"{part} {usd:.2f}" for part, usd in parts.items()),
        ]
        yield f"| {name} | {' | '.join(figures)} |"


def times_of_new(row: Mapping[str, Any]) -> Times:
    """Of a text or a picture that the model is asked about."""
    return Times(row["init_ms"], row["first_ms"], row["warm_ms"], MODEL_WAIT_MS)


def times_of_known(row: Mapping[str, Any]) -> Times:
    """No model is called. `first_ms` is that of a new text, so it holds the wait for one."""
    return Times(row["init_ms"], row["first_ms"] - MODEL_WAIT_MS, row["again_ms"])


def _mixed(search: Mapping[str, Any]) -> str:
    known = sum(costs(times_of_known(search), _MEMORY_MB, KNOWN_TEXT).values())
    new = sum(costs(times_of_new(search), _MEMORY_MB, NEW_TEXT).values())
    usd = KNOWN_SHARE * known + (1 - KNOWN_SHARE) * new
    return f"with {KNOWN_SHARE:.0%} of texts known: ${usd:.0f} a million"


def price_table() -> Iterator[str]:
    """Every price, with where it was read."""
    yield "| price | USD | a | source | read |"
    yield "|---|---|---|---|---|"
    for name, price in ALL.items():
        yield f"| {name} | {price.usd:.10f}".rstrip("0").rstrip(".") + (
            f" | {price.unit} | {price.source} | {price.read} |"
        )


if __name__ == "__main__":
    sys.exit(main())
