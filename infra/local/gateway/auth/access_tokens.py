"""Access tokens, as Supabase's Auth signs them since it signs with keys."""

import time
from typing import NamedTuple
from uuid import UUID

import jwt

from infra.local.gateway.auth.errors import AuthError
from infra.local.gateway.rows import Json
from infra.local.signing_keys import SigningKeys

EXPIRES_IN_S = 3600


class AccessToken(NamedTuple):
    """A token and when it ends, in seconds since 1970."""

    text: str
    expires_at: int


class AccessTokens:
    """Signs with the newest key of the moment."""

    def __init__(self, keys: SigningKeys, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def issue(self, user: Json, session_id: UUID) -> AccessToken:
        """For a user, as Auth publishes it. Raises `AuthError` when there is no key."""
        key = self._keys.current().newest
        if key is None:
            raise AuthError(500, "unexpected_failure", "There is no key to sign with, see the gateway's log")
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "sub": user["id"],
            "aud": user["aud"],
            "exp": now + EXPIRES_IN_S,
            "iat": now,
            "email": user["email"],
            "phone": user["phone"],
            "app_metadata": user["app_metadata"],
            "user_metadata": user["user_metadata"],
            "role": user["role"],
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": str(session_id),
            "is_anonymous": user["is_anonymous"],
        }
        return AccessToken(jwt.encode(claims, key.private, "ES256", {"kid": key.id}), now + EXPIRES_IN_S)
