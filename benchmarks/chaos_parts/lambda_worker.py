"""An instance of the AWS function: a batch a line in, its answer a line out, the log to standard error."""

import json
import os
import sys
import time
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

RAISED: Final = "raised"


class _Context(LambdaContext):
    """Counts down from the function's timeout."""

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + float(os.environ["FUNCTION_TIMEOUT_S"])

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override] # theirs is static and answers 0
        """As Lambda tells it."""
        return max(0, int(1000 * (self._ends_at - time.monotonic())))


def main() -> None:
    """Until there are no more batches."""
    # What the function itself prints belongs to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from functions.index_image.aws import index_queued_events

    for line in sys.stdin:
        event: dict[str, Any] = json.loads(line)
        answer: object
        try:
            answer = index_queued_events(event, _Context())
        except Exception as exc:  # noqa: BLE001 -- Lambda's runtime answers so too, and lives on
            answer = {RAISED: f"{type(exc).__name__}: {exc}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
