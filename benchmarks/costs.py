"""The tables of docs/costs.md, from what `make bench-coldstart` measured: `python -m benchmarks.costs`."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks import report
from benchmarks.coldstart_parts.costs import MODEL_WAIT_MS, Times, Work, billed_ms, costs, lambda_usd
from benchmarks.coldstart_parts.figures import INDEX, INDEX_S3, SEARCH
from benchmarks.coldstart_parts.prices import ALL, LAMBDA_X86

_MEMORY_MB: Final = 1024
_SEARCH: Final = Work(http_requests=1, log_kb=1, out_of_aws_kb=6, out_of_supabase_kb=5)
_NEW_TEXT: Final = Work(http_requests=1, log_kb=1, out_of_aws_kb=11, out_of_supabase_kb=5, model_calls=1)
_PICTURE: Final = Work(http_requests=1, log_kb=1, out_of_aws_kb=180, out_of_supabase_kb=500, model_calls=1)
_PICTURE_ON_S3: Final = Work(
    queue_requests=1.3, s3_puts=2, s3_gets=2, log_kb=1, out_of_aws_kb=140, model_calls=1
)


def main() -> int:
    """Print them as markdown. 1 when nothing has been measured."""
    path = report.FOLDER / "coldstart.json"
    if not path.exists():
        sys.stderr.write(f"{path} is missing: run `make bench-coldstart` first\n")
        return 1
    rows = {row["function"]: row for row in json.loads(path.read_text())["rows"]}
    sys.stdout.write("\n".join([*_tables(rows), "", *_price_table()]) + "\n")
    return 0


def _tables(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    search = rows[SEARCH]
    cases = {
        "a million searches, each text known": (_times(search, "again_ms", 0.0), _SEARCH),
        "a million searches, each text new": (_times(search), _NEW_TEXT),
        "a million pictures in Supabase Storage": (_times(rows[INDEX]), _PICTURE),
        "a million pictures in S3": (_times(rows[INDEX_S3]), _PICTURE_ON_S3),
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


def _times(row: Mapping[str, Any], warm: str = "warm_ms", wait_ms: float = MODEL_WAIT_MS) -> Times:
    """`first_ms` is always that of a new text or picture."""
    return Times(row["init_ms"], row["first_ms"], row[warm], wait_ms)


def _price_table() -> Iterator[str]:
    yield "| price | USD | a | source | read |"
    yield "|---|---|---|---|---|"
    for name, price in ALL.items():
        yield f"| {name} | {price.usd:.10f}".rstrip("0").rstrip(".") + (
            f" | {price.unit} | {price.source} | {price.read} |"
        )


if __name__ == "__main__":
    sys.exit(main())
