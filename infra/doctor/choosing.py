"""Which deployment is meant."""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from infra.doctor.deployment import Deployment
from infra.local.home import Home, Ports, default_home

_PROJECT: Final = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY")


def deployment_of_stage(stage: str, variables: Mapping[str, str]) -> Deployment:
    """That of a stage's file. On S3 its functions follow one bucket."""
    bucket = variables.get("S3_BUCKET") if variables.get("STORAGE") == "s3" else None
    return Deployment({**variables, "BUCKETS": bucket} if bucket else variables, stage)


def deployment_of(environment: Mapping[str, str] = os.environ, home: Home | None = None) -> Deployment | None:
    """That of an environment, if it names a project, else the local stack that runs."""
    if any(environment.get(name) for name in _PROJECT):
        return Deployment(environment)
    home = home or Home(default_home())
    connection = home.connection()
    if connection is None:
        return None
    keys = home.keys()
    gateway = urlsplit(connection.supabase_url).port or 0
    return Deployment(
        {
            **{name: value for name, value in environment.items() if name.startswith(("AWS_", "ROBOFLOW_"))},
            **connection.function_settings,
            "SUPABASE_URL": connection.supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
            "SEARCH_URL": connection.search_url,
            "WEBHOOK_URL": f"http://127.0.0.1:{Ports.from_base(gateway).index}",
            "WEBHOOK_SECRET": keys.webhook_secret,
        },
        is_local=True,
    )
