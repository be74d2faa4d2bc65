"""What a million searches and a million pictures cost: measured milliseconds times public prices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.coldstart_parts import prices
from benchmarks.coldstart_parts.prices import Price

MILLION: Final = 1_000_000
FULL_CPU_MB: Final = 1769
"""The memory with which Lambda gives one whole processor, as ours is here; less gives as much less.
Source: docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
COLD_SHARE: Final = 0.01
"""AWS's own figure: under 1 % of calls, in its article on billing the init phase."""
MODEL_WAIT_MS: Final = 120.0
"""Of the stand-in for the model's API; waiting takes no longer with less of a processor."""
ROBOFLOW_CREDITS_A_CALL: Final = 0.1 / 500
"""The least: 100 ms, and a credit is 500 s. Source: docs.roboflow.com, Serverless API, Pricing (2026-10)."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of one function, in milliseconds on a whole processor."""

    init_ms: float
    first_ms: float
    warm_ms: float
    wait_ms: float = 0.0
    """What of a call is waiting for the model."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one search or one picture takes beside the function's time."""

    http_requests: float = 0.0
    queue_requests: float = 0.0
    s3_puts: float = 0.0
    s3_gets: float = 0.0
    model_calls: float = 0.0
    log_kb: float = 0.0
    out_of_aws_kb: float = 0.0
    out_of_supabase_kb: float = 0.0


def billed_ms(times: Times, memory_mb: int, cold_share: float = COLD_SHARE) -> float:
    """The mean of a call, each rounded up to a millisecond; init is billed (since 2025-08-01)."""
    slower = max(1.0, FULL_CPU_MB / memory_mb)

    def on_lambda(time_ms: float, wait_ms: float) -> int:
        return math.ceil(wait_ms + (time_ms - wait_ms) * slower)

    # Lambda gives init a whole processor, whatever the memory.
    cold = math.ceil(times.init_ms) + on_lambda(times.first_ms, times.wait_ms)
    return cold_share * cold + (1 - cold_share) * on_lambda(times.warm_ms, times.wait_ms)


def lambda_usd(times: Times, memory_mb: int, price: Price = prices.LAMBDA_ARM) -> float:
    """Of a million calls, requests included."""
    gb_seconds = MILLION * billed_ms(times, memory_mb) / 1000 * memory_mb / 1024
    return gb_seconds * price.usd + prices.LAMBDA_REQUESTS.usd


def costs(times: Times, memory_mb: int, work: Work) -> Mapping[str, float]:
    """Of a million, by what is paid for; what costs nothing is left out."""
    all_costs = {
        "Lambda, arm64": lambda_usd(times, memory_mb),
        "HTTP API": work.http_requests * prices.HTTP_API.usd,
        "SQS": work.queue_requests * prices.SQS.usd,
        "S3 requests": work.s3_puts * prices.S3_PUT.usd + work.s3_gets * prices.S3_GET.usd,
        "logs": work.log_kb * prices.LOGS.usd,
        "data out of AWS": work.out_of_aws_kb * prices.TRANSFER_OUT.usd,
        "data out of Supabase": work.out_of_supabase_kb * prices.SUPABASE_EGRESS.usd,
        "Roboflow": MILLION * work.model_calls * ROBOFLOW_CREDITS_A_CALL * prices.ROBOFLOW_CREDIT.usd,
    }
    return {name: usd for name, usd in all_costs.items() if usd}
