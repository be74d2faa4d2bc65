"""What a deployment tells at its end: where everything is, and what is left to do."""

from collections.abc import Iterator, Mapping
from typing import Final

from infra.aws.plan import Plan

_TOLD: Final = ("ApiUrl", "WebhookUrl", "BucketName", "QueueUrl", "DeadLetterQueueUrl", "DashboardUrl")


def outcome(plan: Plan, outputs: Mapping[str, str]) -> Iterator[str]:
    """Lines, of the stack's outputs by their names."""
    yield from (f"{name}: {outputs[name]}" for name in _TOLD if name in outputs)
    if plan.settings.storage == "supabase":
        yield from _into_file(plan, "WEBHOOK_URL", outputs.get("WebhookUrl"))
        yield f"next: `make deploy-supabase STAGE={plan.stage}`, so that the database posts to the webhook"
    if plan.place.alarm_email:
        yield f"next: confirm the mail that AWS sends to {plan.place.alarm_email}, or no alarm arrives"
    yield from _into_file(plan, "SEARCH_URL", outputs.get("ApiUrl"))
    yield f"next: `.venv/bin/pixseek doctor --stage {plan.stage}`"


def _into_file(plan: Plan, name: str, value: str | None) -> Iterator[str]:
    if value and plan.variables.get(name) != value:
        yield f"next: {name}={value} into .env.{plan.stage}"
