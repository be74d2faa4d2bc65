"""Part D: `pixseek audit` over a bucket and an index with faults that are known."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import auditing_data, auditing_planting, auditing_runs
from benchmarks.reembed_parts.auditing_planting import Named
from benchmarks.reembed_parts.auditing_runs import Run
from benchmarks.reembed_parts.auditing_stack import Offline, offline
from benchmarks.reembed_parts.sheet import Found, Sheet

KEYS: Final = 1_000_000
_OF_EACH: Final = 1_000
"""Faults. A hundredth of the keys where those are few: more that are gone would be held for a mistake."""
_TOLD: Final = 20
# What an audit has to bring about, asked of the tables themselves.
_UNFIT: Final = """
select
  (select count(*) from (select * from storage.objects where bucket_id = 'photos') o
   full join (select * from pixseek.images where state <> 'deleted') i on i.name = o.name
   where o.id is null or i.id is null or i.version <> o.version
     or i.size_bytes <> (o.metadata ->> 'size')::bigint)
  + (select count(*) from (select * from storage.objects where bucket_id = 'photos-previews') o
     full join (select * from pixseek.images where has_preview) i
       on pixseek.preview_name(i.id, i.edition) = o.name
     where o.id is null or (i.id is null and o.name ~ '^[0-9]{1,18}/[0-9]{1,18}[.]webp$'))
  + (select count(*) from pixseek.images i
     where i.state = 'indexed' and not exists (
       select from pixseek.vectors v join pixseek.models m on m.id = v.model_id and m.state = 'active'
       where v.image_id = i.id))
  + (select count(*) from pixseek.work where is_failed or leased_until > now() + interval '1 hour')
"""


def measure() -> Found:
    """On `AUDIT_KEYS` keys, so many unless the environment says otherwise."""
    keys = int(os.environ.get("AUDIT_KEYS") or KEYS)
    sheet = Sheet("D: audit")
    with report.step(f"{keys} keys audited twice, start to stop"), offline() as up:
        planted = _fill(sheet, up, keys)
        first, second = auditing_runs.run(up), auditing_runs.run(up)
        unfit = _unfit(up)
    _speak(sheet, first, second)
    sheet.add("that do not fit after the repairs, by SQL", unfit)
    missed, invented = planted - first.faults, first.faults - planted
    sheet.details.extend(_details({"missed": missed, "invented": invented, "second run": second.faults}))
    sheet.target("audit.missed", missed.total(), 0, "max")
    sheet.target("audit.invented", invented.total(), 0, "max")
    sheet.target("audit.second_run_faults", second.faults.total(), 0, "max")
    sheet.target("audit.peak_rss_mb", max(first.peak_mb, second.peak_mb), 200, "max")
    return sheet.rows, sheet.targets, sheet.details


def _fill(sheet: Sheet, up: Offline, keys: int) -> "Counter[Named]":
    started_s = time.monotonic()
    auditing_data.load(up, keys)
    planted = auditing_planting.plant(up, keys, min(_OF_EACH, keys // 100))
    auditing_data.settle(up)
    sheet.add("keys", keys, f"and as many previews; {planted.total()} faults")
    sheet.add("filled in, s", time.monotonic() - started_s)
    return planted


def _speak(sheet: Sheet, first: Run, second: Run) -> None:
    for name, run in (("first", first), ("second", second)):
        note = f"{run.told.state}, exit code {run.exit_code}" + (run.told.reason or "")
        sheet.add(f"the {name} run, s", run.took_s, note)
        sheet.add(f"the {name} run: peak of its memory, MB", run.peak_mb)
    sheet.add("keys/s, nothing to repair", second.told.objects / second.took_s)
    sheet.add("repaired", first.repaired, f"of {first.faults.total()} found")
    repairs_s = first.took_s - second.took_s
    sheet.add(
        "repairs/s",
        first.repaired / repairs_s if repairs_s > 0 else None,
        "in the time that the second run spares",
    )


def _details(wrong: "Mapping[str, Counter[Named]]") -> Iterator[dict[str, object]]:
    """Some of each."""
    for what, faults in wrong.items():
        for fault, count in list(faults.items())[:_TOLD]:
            yield {"part": "D: audit", "what": what, **fault._asdict(), "count": count}


def _unfit(up: Offline) -> int:
    with up.superuser() as session:
        [(count,)] = session.execute(_UNFIT.encode()).fetchall()
    return int(count)
