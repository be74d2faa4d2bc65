"""Google's entries: a function that Cloud Scheduler posts to, and a Cloud Run job whose parallel tasks share
the work (`python -m functions.reembed_images.gcp`; --tasks and --parallelism say how many).
"""

import sys

import flask
import functions_framework

from functions.reembed_images.running import Report, is_cut_short, run
from shared import problems
from shared.errors import PixseekError
from shared.settings import load_settings
from shared.telemetry import log_failure

Answer = tuple[Report | dict[str, str], int, dict[str, str]]


@functions_framework.http
def reembed_images(request: flask.Request) -> Answer:  # noqa: ARG001 -- whatever it says, it means: now
    """Work on what is missing until the time is over."""
    try:
        return run(load_settings().times()), 200, {}
    except PixseekError as exc:
        log_failure("reembedding_failed", exc)
        return {"error": type(exc).__name__}, problems.status_of(exc), problems.retry_after(exc)


def main() -> int:
    """One task of a job; another one may do the same beside it. Returns 1 when it has to be run again."""
    try:
        report = run(load_settings().times())
    except PixseekError as exc:
        log_failure("reembedding_failed", exc)
        return 1
    return int(any(is_cut_short(facts) for facts in report.values()))


if __name__ == "__main__":
    sys.exit(main())
