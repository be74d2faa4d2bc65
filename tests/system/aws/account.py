"""Whose AWS it is."""

from typing import Final

from moto.core.models import DEFAULT_ACCOUNT_ID

ACCOUNT: Final = DEFAULT_ACCOUNT_ID
REGION: Final = "eu-central-1"
