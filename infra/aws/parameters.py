"""A stage's secrets in Parameter Store: /pixseek/<stage>/<VARIABLE>, each value of them a version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from infra.aws.account import Account, answering

_AT_ONCE: Final = 10
"""As the API has it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret as the store has it."""

    value: str = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class Put:
    """What came of putting secrets there."""

    versions: Mapping[str, int]
    """Of all of them."""
    changed: tuple[str, ...]
    """Those that the store did not have."""


def put_parameters(account: Account, stage: str, secrets: Mapping[str, str]) -> Put:
    """Make these the newest values. Raises `AwsError`."""
    kept = _kept(account, stage)
    versions = {
        name: kept[name].version
        for name, value in secrets.items()
        if name in kept and kept[name].value == value
    }
    changed = tuple(name for name in secrets if name not in versions)
    client = account.client("ssm")
    for name in changed:
        with answering("ssm:PutParameter", account.region):
            answer = client.put_parameter(
                Name=f"{_folder(stage)}/{name}", Value=secrets[name], Type="SecureString", Overwrite=True
            )
        versions[name] = answer["Version"]
    return Put(versions, changed)


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


def _kept(account: Account, stage: str) -> dict[str, Kept]:
    pages = account.client("ssm").get_paginator("get_parameters_by_path")
    with answering("ssm:GetParametersByPath", account.region):
        return {
            parameter["Name"].rpartition("/")[2]: Kept(parameter["Value"], parameter["Version"])
            for page in pages.paginate(Path=_folder(stage), WithDecryption=True)
            for parameter in page["Parameters"]
        }
