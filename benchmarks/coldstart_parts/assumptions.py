"""What is assumed of a search, a picture and a month: constants, and the sentences that say them."""

import textwrap
from typing import Final

from benchmarks.coldstart_parts import prices
from benchmarks.coldstart_parts.costs import Work

REPLY_KB: Final = 5
LOG_KB: Final = 1
OTHER_KB: Final = 3
"""Headers, tokens and names of all requests of one call."""
VECTOR_KB: Final = 5
"""512 numbers of six decimals, as JSON."""
VIEW_KB: Final = 130
"""A PNG of what the model looks at, in base64."""
PICTURE_KB: Final = 500
PREVIEW_KB: Final = 42
QUEUE_REQUESTS: Final = 3
ALARMS: Final = 15
"""With STORAGE=s3; two fewer with Supabase's."""
ALARMS_OF_TWO_METRICS: Final = 5
KNOWN_SHARE: Final = 0.8

KNOWN_TEXT: Final = Work(
    http_requests=1, log_kb=LOG_KB, out_of_aws_kb=REPLY_KB + OTHER_KB, out_of_supabase_kb=REPLY_KB
)
NEW_TEXT: Final = Work(
    http_requests=1,
    log_kb=LOG_KB,
    out_of_aws_kb=REPLY_KB + OTHER_KB + 2 * VECTOR_KB,
    out_of_supabase_kb=REPLY_KB,
    model_calls=1,
)
PICTURE: Final = Work(
    http_requests=1,
    log_kb=LOG_KB,
    out_of_aws_kb=VIEW_KB + PREVIEW_KB + VECTOR_KB + OTHER_KB,
    out_of_supabase_kb=PICTURE_KB,
    model_calls=1,
)
PICTURE_ON_S3: Final = Work(
    queue_requests=QUEUE_REQUESTS,
    s3_puts=2,
    s3_gets=2,
    log_kb=LOG_KB,
    out_of_aws_kb=VIEW_KB + VECTOR_KB + OTHER_KB,
    model_calls=1,
)
_GB: Final = PICTURE_KB + PREVIEW_KB
"""Of a million pictures."""
_STORAGE_INCLUDED_GB: Final = 100


def sentences() -> list[str]:
    """As docs/costs.md has them."""
    lines = (
        f"Each call writes {LOG_KB} KB of logs: our line, Lambda's three, the API's access log. A reply is "
        f"{REPLY_KB} KB, and so is what the database answers for it. Headers, tokens and names of all "
        f"requests of a call are {OTHER_KB} KB.",
        f"A vector is {VECTOR_KB} KB of text. A text that is new sends its own twice, to search with it and "
        "to remember it; a picture sends its own once.",
        f"A picture has {PICTURE_KB} KB. From Supabase Storage it is read once (250 GB a month are included "
        "in Pro: half of a million pictures); from S3 of the same region reading is free. To the model go "
        f"{VIEW_KB} KB, a PNG of what it looks at, in base64; the preview of {PREVIEW_KB} KB goes to "
        "Supabase, or to S3, which is free.",
        f"A picture in S3 takes two PUT and two GET or HEAD requests, and {QUEUE_REQUESTS} of SQS: send, "
        "receive, delete.",
    )
    return [textwrap.fill(f"- {line}", 120, subsequent_indent="  ", break_on_hyphens=False) for line in lines]


def monthly_rows() -> list[str]:
    """Those that follow from these figures and the prices."""
    metrics = ALARMS + ALARMS_OF_TWO_METRICS
    supabase_usd = (_GB - _STORAGE_INCLUDED_GB) * prices.SUPABASE_STORAGE.usd
    return [
        f"| storage of a million pictures of {PICTURE_KB} KB with previews, {_GB} GB: Supabase Storage "
        f"({_STORAGE_INCLUDED_GB} GB included) | {supabase_usd:.2f} |",
        f"| the same in S3 Standard | {_GB * prices.S3_STORAGE.usd:.2f} |",
        f"| up to {ALARMS} alarms at {prices.ALARM.usd:.2f} a metric: {ALARMS_OF_TWO_METRICS} compute a "
        f"share of two, so {metrics} (ten are free in an account) | {metrics * prices.ALARM.usd:.2f} |",
    ]
