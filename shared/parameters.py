"""Secrets from AWS Systems Manager's Parameter Store. Signed here: botocore takes longer to import than all
that a function does until its first answer (docs/decisions/0028-small-bundles.md)."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from shared.errors import SettingsError, Unavailable
from shared.tls import tls_context

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "ssm"
_TARGET: Final = "AmazonSSM.GetParameters"
_TIMEOUT_S: Final = 5.0
_MORE_TRIES: Final = 3
"""After a first that failed: many functions that start at once are throttled."""
_MOST: Final = 10
"""Parameters in one call, as the API has it."""
_REFUSALS: Final = {
    "AccessDeniedException": (
        "the function's role needs ssm:GetParameters on them, and kms:Decrypt with a key of your own"
    ),
    "UnrecognizedClientException": "the credentials are not, or no longer, valid in this region",
    "InvalidSignatureException": "the secret access key or the clock of this machine is wrong",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a role, as Lambda hands them over."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class _Parameter(BaseModel, frozen=True):
    name: str = Field(alias="Name")
    value: str = Field(alias="Value", repr=False)


class _Answer(BaseModel, frozen=True):
    parameters: list[_Parameter] = Field(alias="Parameters")
    missing: list[str] = Field(alias="InvalidParameters", default=[])


class _Refusal(BaseModel, frozen=True):
    kind: str = Field(alias="__type")


def read_parameters(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The decrypted values of parameters, by the last part of their names: of `/pixseek/prod/A` it is A, of
    `/pixseek/prod/A:3` too, which is its third version.

    Region, credentials and, if it is another, the endpoint are those of the environment. Raises
    `SettingsError` for what is missing or refused, `Unavailable` when the store does not answer.
    """
    region, credentials = _region(environment), _credentials(environment)
    url = _endpoint(environment, region)
    found: dict[str, str] = {}
    for first in range(0, len(names), _MOST):
        answer = _patiently(partial(_get, names[first : first + _MOST], url, region, credentials))
        found |= {_variable(parameter.name): parameter.value for parameter in answer.parameters}
    return found


def _patiently(get: Callable[[], _Answer]) -> _Answer:
    try:
        return get()
    except Unavailable:
        import stamina  # 12 ms that are not spent on the first try

        for attempt in stamina.retry_context(
            on=Unavailable, attempts=_MORE_TRIES, timeout=None, wait_initial=0.2, wait_max=1.0
        ):
            with attempt:
                answer = get()
        return answer


def _variable(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _get(names: Sequence[str], url: str, region: str, credentials: Credentials) -> _Answer:
    body = json.dumps({"Names": list(names), "WithDecryption": True}).encode()
    headers = signed_headers(url, body, region=region, credentials=credentials, now=datetime.now(UTC))
    try:
        response = httpx.post(url, content=body, headers=headers, timeout=_TIMEOUT_S, verify=tls_context())
    except httpx.HTTPError as exc:
        raise Unavailable(f"Parameter Store at {url} does not answer") from exc
    try:
        if response.is_success:
            answer = _Answer.model_validate_json(response.content)
        else:
            raise _error(response, names)
    except ValidationError:  # not `from` it: it may quote a value
        raise Unavailable(f"Parameter Store at {url} answered {response.status_code}, and no JSON") from None
    if answer.missing:
        raise SettingsError(
            f"Parameter Store in {region} has no {', '.join(sorted(answer.missing))}: "
            "`make deploy-aws` puts there what .env.<stage> says"
        )
    return answer


def _error(response: httpx.Response, names: Sequence[str]) -> SettingsError | Unavailable:
    kind = _Refusal.model_validate_json(response.content).kind.rpartition("#")[2]
    if kind in _REFUSALS:
        return SettingsError(f"Parameter Store refuses {', '.join(names)} ({kind}): {_REFUSALS[kind]}")
    return Unavailable(f"Parameter Store answered {response.status_code} ({kind})")


def _region(environment: Mapping[str, str]) -> str:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise SettingsError(
            "settings are missing or wrong: SSM_PARAMETERS needs AWS_REGION. See .env.example."
        )
    return region


def _credentials(environment: Mapping[str, str]) -> Credentials:
    try:
        return Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN") or None,
        )
    except KeyError as exc:
        reason = f"SSM_PARAMETERS needs {exc.args[0]}, which Lambda sets"
        raise SettingsError(f"settings are missing or wrong: {reason}. See .env.example.") from None


def _endpoint(environment: Mapping[str, str], region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    named = environment.get("AWS_ENDPOINT_URL_SSM") or environment.get("AWS_ENDPOINT_URL")
    return (named or f"https://{_SERVICE}.{region}.{suffix}").rstrip("/") + "/"


def signed_headers(
    url: str, body: bytes, *, region: str, credentials: Credentials, now: datetime
) -> dict[str, str]:
    """The headers of a POST, signed with Signature Version 4.

    Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
    """
    at = f"{now:%Y%m%dT%H%M%SZ}"
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urlsplit(url).netloc,
        "x-amz-date": at,
        **({"x-amz-security-token": credentials.session_token} if credentials.session_token else {}),
        "x-amz-target": _TARGET,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(["POST", urlsplit(url).path, "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{at[:8]}/{region}/{_SERVICE}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{credentials.access_key_id}/{scope}"
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
