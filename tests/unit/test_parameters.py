"""Secrets that a function reads itself."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import stamina
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError, Unavailable
from shared.parameters import Credentials, read_parameters, signed_headers

_ENVIRONMENT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_SESSION_TOKEN": "a session",
}
_NAME = "/pixseek/prod/SUPABASE_SERVICE_ROLE_KEY"
_Answering = Callable[[httpx.Request], httpx.Response]


class _Store:
    """Parameter Store, as far as it is spoken to."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answer: _Answering = lambda _: httpx.Response(200, json={"Parameters": []})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> _Store:
    store = _Store()

    def post(url: str, *, content: bytes, headers: dict[str, str], **_: object) -> httpx.Response:
        with httpx.Client(transport=httpx.MockTransport(store)) as client:
            return client.post(url, content=content, headers=headers)

    monkeypatch.setattr("shared.parameters.httpx.post", post)
    return store


def _refusing(kind: str, status: int = 400) -> _Answering:
    return lambda _: httpx.Response(status, json={"__type": kind, "message": "hunter2"})


@given(
    body=st.binary(max_size=200),
    url=st.sampled_from(["https://ssm.eu-west-1.amazonaws.com/", "http://127.0.0.1:5000/"]),
    secret=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1),
    token=st.none() | st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
)
def test_a_request_is_signed_as_awss_own_library_signs_it(
    body: bytes, url: str, secret: str, token: str | None
) -> None:
    now = datetime(2026, 11, 27, 8, 5, 3, tzinfo=UTC)
    signed = signed_headers(
        url, body, region="eu-west-1", credentials=Credentials("AKIAEXAMPLE", secret, token), now=now
    )
    own = {name: value for name, value in signed.items() if name not in {"authorization", "host"}}
    theirs = AWSRequest("POST", url, data=body, headers=own)
    theirs.context["timestamp"] = "20261127T080503Z"
    auth = SigV4Auth(BotocoreCredentials("AKIAEXAMPLE", secret, token), "ssm", "eu-west-1")

    signature = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)

    assert signed["authorization"].endswith(f"Signature={signature}")


def test_parameters_are_read_decrypted_and_named_by_their_last_part(store: _Store) -> None:
    store.answer = lambda _: httpx.Response(
        200, json={"Parameters": [{"Name": _NAME, "Value": "the key", "Type": "SecureString"}]}
    )

    assert read_parameters([_NAME], _ENVIRONMENT) == {"SUPABASE_SERVICE_ROLE_KEY": "the key"}
    [request] = store.asked
    assert json.loads(request.content) == {"Names": [_NAME], "WithDecryption": True}
    assert str(request.url) == "https://ssm.eu-west-1.amazonaws.com/"
    assert request.headers["x-amz-security-token"] == "a session"


def test_a_version_of_a_parameter_is_asked_for_and_its_variable_bears_no_number(store: _Store) -> None:
    store.answer = lambda _: httpx.Response(
        200, json={"Parameters": [{"Name": _NAME, "Value": "the key", "Selector": ":3", "Version": 3}]}
    )

    assert read_parameters([f"{_NAME}:3"], _ENVIRONMENT) == {"SUPABASE_SERVICE_ROLE_KEY": "the key"}
    assert json.loads(store.asked[0].content)["Names"] == [f"{_NAME}:3"]


@pytest.mark.parametrize("failures", [1, 3])
def test_who_is_throttled_asks_again(failures: int, store: _Store) -> None:
    answers = [_refusing("ThrottlingException")] * failures
    good = httpx.Response(200, json={"Parameters": [{"Name": _NAME, "Value": "the key"}]})
    store.answer = lambda request: answers.pop()(request) if answers else good

    assert read_parameters([_NAME], _ENVIRONMENT) == {"SUPABASE_SERVICE_ROLE_KEY": "the key"}
    assert len(store.asked) == failures + 1


def test_eleven_parameters_take_two_calls(store: _Store) -> None:
    read_parameters([f"/pixseek/prod/{number}" for number in range(11)], _ENVIRONMENT)

    assert [len(json.loads(request.content)["Names"]) for request in store.asked] == [10, 1]


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"AWS_REGION": "cn-north-1"}, "https://ssm.cn-north-1.amazonaws.com.cn/"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000/"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_ENDPOINT_URL_SSM": "http://127.0.0.1:5001/"},
            "http://127.0.0.1:5001/",
        ),
    ],
)
def test_the_store_is_that_of_the_environment(more: dict[str, str], url: str, store: _Store) -> None:
    read_parameters([_NAME], {**_ENVIRONMENT, **more})

    assert str(store.asked[0].url) == url


def test_a_missing_parameter_is_named_with_what_puts_it_there(store: _Store) -> None:
    store.answer = lambda _: httpx.Response(200, json={"Parameters": [], "InvalidParameters": [_NAME]})

    with pytest.raises(SettingsError, match=rf"eu-west-1 has no {_NAME}: `make deploy-aws`"):
        read_parameters([_NAME], _ENVIRONMENT)


@pytest.mark.parametrize("kind", ["AccessDeniedException", "com.amazon.coral.service#AccessDeniedException"])
def test_a_role_without_the_right_is_told_which_it_needs(kind: str, store: _Store) -> None:
    store.answer = _refusing(kind)

    with pytest.raises(SettingsError, match="needs ssm:GetParameters") as caught:
        read_parameters([_NAME], _ENVIRONMENT)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("InvalidSignatureException", "clock"), ("UnrecognizedClientException", "credentials")],
)
def test_a_signature_that_is_not_taken_has_advice_of_its_own(kind: str, advice: str, store: _Store) -> None:
    store.answer = _refusing(kind)

    with pytest.raises(SettingsError, match=advice):
        read_parameters([_NAME], _ENVIRONMENT)

    assert len(store.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        _refusing("ThrottlingException"),
        _refusing("InternalServerError", 500),
        lambda _: httpx.Response(503, text="busy"),
        lambda _: httpx.Response(200, text="hunter2"),
    ],
    ids=["throttled", "failed", "no JSON of an error", "no JSON"],
)
def test_what_may_be_over_soon_is_worth_a_retry(answer: _Answering, store: _Store) -> None:
    store.answer = answer

    with pytest.raises(Unavailable, match="Parameter Store") as caught:
        read_parameters([_NAME], _ENVIRONMENT)

    assert "hunter2" not in str(caught.value)


def test_a_store_that_does_not_answer_is_worth_a_retry(store: _Store) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    store.answer = refuse

    with pytest.raises(Unavailable, match="does not answer"):
        read_parameters([_NAME], _ENVIRONMENT)


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_what_lambda_sets_is_named_where_it_is_not_set(name: str, store: _Store) -> None:
    with pytest.raises(SettingsError, match=name):
        read_parameters([_NAME], {**_ENVIRONMENT, name: ""} if name == "AWS_REGION" else _without(name))

    assert store.asked == []


def _without(name: str) -> dict[str, str]:
    return {other: value for other, value in _ENVIRONMENT.items() if other != name}
