"""A stage's secrets in Parameter Store: /pixseek/<stage>/<VARIABLE>."""

from collections.abc import Mapping
from typing import Final

from infra.aws.account import Account, answering

_AT_ONCE: Final = 10
"""As the API has it."""


def put_parameters(account: Account, stage: str, secrets: Mapping[str, str]) -> list[str]:
    """Make the store hold these values, and name those that it did not. Raises `AwsError`."""
    kept = _kept(account, stage)
    changed = [name for name, value in secrets.items() if kept.get(name) != value]
    client = account.client("ssm")
    for name in changed:
        with answering("ssm:PutParameter", account.region):
            client.put_parameter(
                Name=f"{_folder(stage)}/{name}", Value=secrets[name], Type="SecureString", Overwrite=True
            )
    return changed


def prune_parameters(account: Account, stage: str, wanted: Mapping[str, str]) -> list[str]:
    """Delete what the stage no longer names, and tell which. Raises `AwsError`."""
    gone = sorted(set(_kept(account, stage)) - set(wanted))
    client = account.client("ssm")
    for first in range(0, len(gone), _AT_ONCE):
        names = [f"{_folder(stage)}/{name}" for name in gone[first : first + _AT_ONCE]]
        with answering("ssm:DeleteParameters", account.region):
            client.delete_parameters(Names=names)
    return gone


def _folder(stage: str) -> str:
    return f"/pixseek/{stage}"


def _kept(account: Account, stage: str) -> dict[str, str]:
    pages = account.client("ssm").get_paginator("get_parameters_by_path")
    with answering("ssm:GetParametersByPath", account.region):
        return {
            parameter["Name"].rpartition("/")[2]: parameter["Value"]
            for page in pages.paginate(Path=_folder(stage), WithDecryption=True)
            for parameter in page["Parameters"]
        }
