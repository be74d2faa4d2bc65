"""Credentials of AWS for commands that reach S3 themselves: obstore reads none but the environment's."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    import boto3


def take_credentials(variables: Mapping[str, str]) -> None:
    """Into this process' environment, from where AWS's own tools keep them (~/.aws, AWS_PROFILE), if pictures
    lie in S3 and it has none. Those that cannot be had are told of: not every command needs them.
    """
    if variables.get("STORAGE") != "s3":
        return
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        _take_region(variables.get("AWS_REGION"), session.region_name)
        _take_key(session)
    except BotoCoreError as exc:
        Console(stderr=True).print(
            f"[yellow]there are no AWS credentials[/]: {escape(str(exc))}. See `aws configure`, "
            "`aws sso login` and AWS_PROFILE.",
            highlight=False,
        )


def _take_region(of_stage: str | None, of_session: str | None) -> None:
    """The pictures lie where the stage says, whatever the shell is set to. boto3 does not read AWS_REGION."""
    if region := of_stage or os.environ.get("AWS_REGION") or of_session:
        os.environ["AWS_REGION"] = region


def _take_key(session: "boto3.Session") -> None:
    """A machine in the cloud has its own, which obstore finds and renews."""
    from infra.doctor.stores import CREDENTIALS

    if any(os.environ.get(name) for name in CREDENTIALS):
        return
    found = session.get_credentials()
    if found is None or found.method == "iam-role":
        return
    key = found.get_frozen_credentials()
    taken = {
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_SESSION_TOKEN": key.token,
    }
    os.environ.update({name: value for name, value in taken.items() if value})
