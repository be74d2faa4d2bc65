"""What the stages of the tests say, and the Supabase that they are for."""

import time
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import jwt
import psycopg

from infra.cli.connection import Project
from infra.local.home import Keys
from infra.local.stack import Stack
from tests.roboflow_api import RoboflowApi
from tests.system.aws.account import REGION

IN_S3: Final = "in-s3"
IN_SUPABASE: Final = "in-supabase"
BUCKET: Final = "pixseek-pictures"
KEY: Final = "the-key-of-roboflow"


@dataclass(frozen=True)
class User:
    """Somebody who is signed in."""

    user_id: str
    token: str

    def path(self, file: str) -> str:
        """The name of a picture in the user's folder."""
        return f"{self.user_id}/{file}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Supabase:
    """A project, by its own stack."""

    stack: Stack
    project: Project
    keys: Keys

    @property
    def secrets(self) -> set[str]:
        """What nobody may ever read in a log, an answer or a template."""
        return {self.keys.service_role_key, self.keys.jwt_secret, self.keys.webhook_secret, KEY}

    def user(self) -> User:
        """Somebody new."""
        user_id = str(uuid4())
        claims = {
            "sub": user_id,
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{self.project.connection.supabase_url}/auth/v1",
            "exp": time.time() + 600,
        }
        return User(user_id, jwt.encode(claims, self.keys.jwt_secret, algorithm="HS256"))

    def sql(self, statement: bytes, *arguments: object) -> list[tuple[object, ...]]:
        """Rows, by the owner of everything."""
        with psycopg.connect(self.stack.dsn("supabase_admin"), autocommit=True) as connection:
            cursor = connection.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def state(self, name: str, bucket: str = BUCKET) -> tuple[object, ...] | None:
        """State and reason of a picture; None for one that is not known."""
        query = b"select state, reason from pixseek.images where bucket = %s and name = %s"
        return next(iter(self.sql(query, bucket, name)), None)

    def has_vector(self, name: str, bucket: str = BUCKET) -> bool:
        query = (
            b"select 1 from pixseek.images i join pixseek.vectors v on v.image_id = i.id "
            b"where i.bucket = %s and i.name = %s"
        )
        return bool(self.sql(query, bucket, name))


def variables(supabase: Supabase, roboflow: RoboflowApi, **more: str) -> dict[str, str]:
    """A stage's file."""
    connection = supabase.project.connection
    return {
        "AWS_REGION": REGION,
        "ARCHITECTURE": "x86_64",
        "RESERVE_CONCURRENCY": "false",  # moto has no lambda:GetAccountSettings
        "EMBEDDER": "roboflow",
        "ROBOFLOW_API_URL": roboflow.url,
        "ROBOFLOW_API_KEY": KEY,
        "SUPABASE_URL": connection.supabase_url,
        "SUPABASE_ANON_KEY": connection.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
        "SUPABASE_JWT_SECRET": supabase.keys.jwt_secret,
        "WEBHOOK_SECRET": supabase.keys.webhook_secret,
        **more,
    }
