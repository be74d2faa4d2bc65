"""Public prices, each with where and when it was read. US East (N. Virginia), US dollars, no free tiers."""

from dataclasses import dataclass
from typing import Final

_NOT_CHECKED: Final = "not re-checked"


@dataclass(frozen=True, slots=True)
class Price:
    """What a unit costs."""

    usd: float
    unit: str
    source: str
    read: str
    """The day that the source bears, or was read on."""


_LAMBDA: Final = "aws.amazon.com/lambda/pricing (as transcribed by api-evangelist/aws-lambda)"
_LAMBDA_BY_KIND: Final = "git.mcrn.ar/mariano/lambda_local_runner, lambda-13-cost.md, after AWS's page"
_API: Final = "aws.amazon.com/api-gateway/pricing (as transcribed by api-evangelist/amazon-web-services)"
_SQS: Final = "cloudburn.io/blog/amazon-sqs-pricing"
_CLOUDWATCH: Final = "aws.amazon.com/cloudwatch/pricing (as transcribed by api-evangelist/cloudwatch)"
_S3: Final = "aws.amazon.com/s3/pricing"
_SUPABASE: Final = "supabase.com/pricing"
_SUPABASE_USAGE: Final = "supabase.com/docs/guides/platform/org-based-billing (a copy without a date)"
_ROBOFLOW: Final = "roboflow.com/pricing (as transcribed by api-evangelist/roboflow)"

LAMBDA_REQUESTS: Final = Price(0.20, "million requests", _LAMBDA, "2026-09-20")
LAMBDA_ARM: Final = Price(0.0000133334, "GB-second, arm64", _LAMBDA_BY_KIND, "2026-05-11")
LAMBDA_X86: Final = Price(0.0000166667, "GB-second, x86_64", _LAMBDA_BY_KIND, "2026-05-11")
HTTP_API: Final = Price(1.00, "million requests of at most 512 KB", _API, "2026-09-20")
SQS: Final = Price(0.40, "million requests of at most 64 KB", _SQS, "2026-03-14")
TRANSFER_OUT: Final = Price(0.09, "GB out of AWS", _API, "2026-09-20")
LOGS: Final = Price(0.50, "GB of logs taken in", _CLOUDWATCH, "2026-05-05")
ALARM: Final = Price(0.10, "metric of an alarm, and month", _CLOUDWATCH, "2026-05-05")
METRIC: Final = Price(0.30, "custom metric and month", _CLOUDWATCH, "2026-05-05")
DASHBOARD: Final = Price(
    3.00, "dashboard and month (three are free)", "factualminds.com, CloudWatch pricing", "2026-06-13"
)
S3_PUT: Final = Price(5.00, "million PUT requests", _S3, _NOT_CHECKED)
S3_GET: Final = Price(0.40, "million GET and HEAD requests", _S3, _NOT_CHECKED)
S3_STORAGE: Final = Price(
    0.023, "GB and month", "gist.github.com/EverettBerry, after AWS's page", "2022-07-07"
)
SSM: Final = Price(0.0, "standard parameter", "aws.amazon.com/systems-manager/pricing", _NOT_CHECKED)
KMS: Final = Price(
    0.03, "10,000 decryptions (20,000 a month are free)", "wring.co, AWS KMS pricing", "undated"
)
SUPABASE_PRO: Final = Price(25.00, "month, with a Micro's compute", _SUPABASE, _NOT_CHECKED)
SUPABASE_EGRESS: Final = Price(0.09, "GB (250 are included)", _SUPABASE_USAGE, "undated")
SUPABASE_STORAGE: Final = Price(0.021, "GB and month (100 are included)", _SUPABASE_USAGE, "undated")
ROBOFLOW_CREDIT: Final = Price(
    4.00, "credit, prepaid, at the least (6.00 on demand)", _ROBOFLOW, "2026-10-07"
)

ALL: Final[dict[str, Price]] = {
    "Lambda": LAMBDA_REQUESTS,
    "Lambda, arm64": LAMBDA_ARM,
    "Lambda, x86_64": LAMBDA_X86,
    "HTTP API": HTTP_API,
    "SQS, standard queue": SQS,
    "Data to the internet": TRANSFER_OUT,
    "CloudWatch Logs": LOGS,
    "CloudWatch alarm": ALARM,
    "CloudWatch metric": METRIC,
    "CloudWatch dashboard": DASHBOARD,
    "S3 PUT": S3_PUT,
    "S3 GET": S3_GET,
    "S3 Standard": S3_STORAGE,
    "SSM Parameter Store": SSM,
    "KMS": KMS,
    "Supabase Pro": SUPABASE_PRO,
    "Supabase egress": SUPABASE_EGRESS,
    "Supabase Storage": SUPABASE_STORAGE,
    "Roboflow": ROBOFLOW_CREDIT,
}
