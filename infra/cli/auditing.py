"""Audits that run in this process."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.cli.audit_reports import (
    audit_item,
    last_audits,
    print_audit,
    print_fault_line,
    print_line,
    print_recall,
    recall_item,
)
from infra.cli.connection import Project, RefusedError
from shared import auditing, indexing
from shared.audits import Audit, Recall
from shared.audits import Progress as AuditProgress
from shared.comparing import pages
from shared.errors import SettingsError
from shared.events.objects import is_followed
from shared.mending import Follow
from shared.models import PREVIEWS_SUFFIX, Lane, ObjectRef, Standing
from shared.recall import check_recall
from shared.wiring import build_adapters, build_audits

_RECALL_S: Final = 120.0


class Auditor:
    """Audits of one project."""

    def __init__(self, project: Project, *, as_json: bool = False) -> None:
        """Raises `SettingsError`."""
        self._project = project
        self._as_json = as_json
        self._console = Console()
        self._settings = project.settings()
        self._adapters = build_adapters(self._settings, Lane.INDEXING)
        self._audits = build_audits(self._settings, Lane.INDEXING)

    def chosen(self, buckets: Sequence[str]) -> list[str]:
        """Those that are named, else all that are followed. Raises `RefusedError` for an unknown one."""
        known = self._audits.index.buckets()
        for bucket in buckets:
            self.check_followed(bucket)
            if bucket not in known:
                raise RefusedError(
                    f"the index knows no bucket {bucket} of {self._settings.storage}, only: "
                    f"{', '.join(known) or 'none'}. One that was there before comes in with "
                    f"`pixseek backfill {bucket}`."
                )
        return list(dict.fromkeys(buckets)) or [name for name in known if self._is_followed(name)]

    def check_followed(self, bucket: str) -> None:
        """Raises `RefusedError` for a bucket whose pictures are not to be in the index."""
        if not self._is_followed(bucket):
            named = (
                ", ".join(sorted(self._settings.buckets)) or f"all but those that end in {PREVIEWS_SUFFIX}"
            )
            raise RefusedError(f"bucket {bucket} is not followed; BUCKETS says which are: {named}")

    def _is_followed(self, bucket: str) -> bool:
        return is_followed(ObjectRef(bucket, ""), self._settings.buckets)

    def audit(
        self, bucket: str, *, repair: bool, allow_removals: bool = False, is_quiet: bool = False
    ) -> Audit:
        """One bucket, with a bar; what it comes to is printed unless it is quiet."""
        last = last_audits(self._project).get(bucket)
        with _bar(bucket, None if last is None else last.objects) as report:
            found = auditing.audit(
                bucket,
                store=self._adapters.store,
                index=self._audits.index,
                repair=repair,
                allow_removals=allow_removals,
                with_previews=self._settings.previews,
                follow=self._follow() if repair else None,
                report=report,
                on_fault=print_fault_line if self._as_json else lambda _: None,
            )
        if self._as_json:
            print_line({"audit": audit_item(found)})
        elif not is_quiet:
            print_audit(self._console, found, is_repair=repair)
        return found

    def check_recall(self) -> Recall:
        """The vector index beside exact search, for as long as somebody may wait for it."""
        checked = check_recall(self._audits.recalls, begin_by=time.monotonic() + _RECALL_S)
        if self._as_json:
            print_line({"recall": recall_item(checked)})
        else:
            print_recall(self._console, checked)
        return checked

    def waiting(self, bucket: str) -> int:
        """How many pictures of a bucket are still to be embedded."""
        images = pages(lambda after: self._audits.index.images(bucket, after=after))
        return sum(image.standing is Standing.PENDING for image in images)

    def active_model(self) -> str:
        """The model that searches use."""
        return self._adapters.database.active_model()

    def _follow(self) -> Follow | None:
        """Reads what has to be read; who has no embedder for the active model leaves it to who has."""
        try:
            embedder = self._adapters.embedders.active(deadline=math.inf)
        except SettingsError as exc:
            message = f"[yellow]what is stale or lacks its preview is left[/]: {escape(str(exc))}"
            Console(stderr=True).print(message, highlight=False)
            return None
        return partial(
            indexing.apply,
            store=self._adapters.store,
            embedder=embedder,
            index=self._adapters.database,
            with_previews=self._settings.previews,
        )


@contextmanager
def _bar(bucket: str, total: int | None) -> Iterator[Callable[[AuditProgress], None]]:
    """By objects; how many there are is only known from the audit before."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(escape(bucket), total=total or None)

        def report(progress: AuditProgress) -> None:
            faults = sum(progress.faults.values())
            described = f"{escape(bucket)}: {progress.stage}, {faults} faults"
            bars.update(task, description=described, completed=progress.objects)

        yield report
