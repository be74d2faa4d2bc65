"""The keys of access tokens: published, rotated, revoked; and tokens that only look signed."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm
from supabase import Client

from infra.local.home import write_private
from infra.local.signing_keys import KeySet, SigningKey, SigningKeys, rotate
from tests.integration.gateway.conftest import ANON_KEY, Account, Gateway, session_of

JWKS = "/.well-known/jwks.json"
CLAIMS = {"sub": "00000000-0000-4000-8000-000000000000", "role": "service_role", "exp": time.time() + 600}


@pytest.fixture
def keys(gateway: Gateway) -> KeySet:
    return SigningKeys(gateway.signing_keys).current()


@pytest.fixture
def key_file(gateway: Gateway) -> Iterator[Path]:
    """The file of keys, put back afterwards."""
    content = gateway.signing_keys.read_text()
    yield gateway.signing_keys
    write_private(gateway.signing_keys, content)


def test_the_public_keys_are_there_for_everybody(gateway: Gateway, http: httpx.Client) -> None:
    answer = http.get(f"{gateway.url}/auth/v1{JWKS}")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=60"
    [*_, newest] = answer.json()["keys"]
    assert set(newest) == {"kty", "crv", "alg", "use", "kid", "x", "y", "key_ops"}
    assert (newest["kty"], newest["crv"], newest["alg"], newest["use"]) == ("EC", "P-256", "ES256", "sig")


def test_the_private_keys_are_their_owners_alone(gateway: Gateway) -> None:
    assert gateway.signing_keys.stat().st_mode & 0o777 == 0o600


def test_a_token_is_verified_by_the_public_key_that_it_names(
    sign_in: Callable[[], Client], gateway: Gateway
) -> None:
    token = session_of(sign_in()).access_token

    key = jwt.PyJWKClient(f"{gateway.url}/auth/v1{JWKS}").get_signing_key_from_jwt(token)

    header = jwt.get_unverified_header(token)
    assert header == {"alg": "ES256", "kid": key.key_id, "typ": "JWT"}
    issuer = f"{gateway.url}/auth/v1"
    assert jwt.decode(token, key, ["ES256"], audience="authenticated", issuer=issuer)


def test_the_client_verifies_it_by_itself(sign_in: Callable[[], Client]) -> None:
    client = sign_in()

    verified = client.auth.get_claims()

    assert verified is not None
    assert verified["claims"]["role"] == "authenticated"


class TestARotation:
    def test_signs_with_the_new_key_and_still_takes_the_old(
        self, sign_in: Callable[[], Client], gateway: Gateway
    ) -> None:
        old = session_of(sign_in()).access_token

        rotated = rotate(gateway.signing_keys)

        new = session_of(sign_in()).access_token
        assert jwt.get_unverified_header(old)["kid"] != rotated.key_id
        assert jwt.get_unverified_header(new)["kid"] == rotated.key_id
        assert gateway.post("whoami", authorization=f"Bearer {old}").status_code == 200
        assert gateway.post("whoami", authorization=f"Bearer {new}").status_code == 200

    def test_revokes_older_keys_at_once_when_told_to(
        self, sign_in: Callable[[], Client], gateway: Gateway, call: Callable[..., httpx.Response]
    ) -> None:
        client = sign_in()
        token = session_of(client).access_token
        authorization = f"Bearer {token}"
        known = gateway.post("whoami", authorization=authorization).status_code

        rotated = rotate(gateway.signing_keys, revokes_older=True)

        rest = gateway.post("whoami", authorization=authorization)
        storage = httpx.get(f"{gateway.url}/storage/v1/bucket", headers={"authorization": authorization})
        assert (known, rest.status_code, rest.json()["code"]) == (200, 401, "PGRST301")
        assert storage.json()["code"] == "AccessDenied"
        assert call("GET", "/user", token).json()["error_code"] == "bad_jwt"
        assert [key["kid"] for key in call("GET", JWKS).json()["keys"]] == [rotated.key_id]
        assert client.auth.refresh_session().session is not None

    def test_leaves_legacy_keys_alone(self, gateway: Gateway) -> None:
        rotate(gateway.signing_keys, revokes_older=True)

        assert gateway.post("whoami", authorization=f"Bearer {ANON_KEY}").status_code == 200


class TestAFileOfKeys:
    @pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"kid": "a"}]}'])
    def test_that_is_broken_holds_no_key_until_it_is_mended(
        self, content: str, key_file: Path, account: Account, call: Callable[..., httpx.Response]
    ) -> None:
        sign_in, mended = "/token?grant_type=password", key_file.read_text()
        token = call("POST", sign_in, json=account.body()).json()["access_token"]

        write_private(key_file, content)
        refused, unsigned = call("GET", "/user", token), call("POST", sign_in, json=account.body())
        write_private(key_file, mended)

        assert (refused.status_code, refused.json()["error_code"]) == (403, "bad_jwt")
        assert (unsigned.status_code, unsigned.json()["error_code"]) == (500, "unexpected_failure")
        assert call("GET", "/user", token).status_code == 200

    def test_that_is_missing_holds_no_key(
        self, key_file: Path, sign_in: Callable[[], Client], call: Callable[..., httpx.Response]
    ) -> None:
        token = session_of(sign_in()).access_token

        key_file.unlink()

        assert call("GET", "/user", token).json()["error_code"] == "bad_jwt"
        assert call("GET", JWKS).json() == {"keys": []}

    def test_that_is_no_such_file_is_not_rotated(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        path.write_text("{}")

        with pytest.raises(ValueError, match="keys"):
            rotate(path)

        assert path.read_text() == "{}"


def _part(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def _raw(header: object, signature: bytes = b"") -> str:
    """A token in which nothing is checked as it is made."""
    signed = base64.urlsafe_b64encode(signature).rstrip(b"=")
    return b".".join([_part(header), _part(CLAIMS), signed]).decode()


def _by_hmac(keys: KeySet, secret: bytes) -> str:
    header = {"alg": "HS256", "typ": "JWT", "kid": _newest(keys).id}
    content = b".".join([_part(header), _part(CLAIMS)])
    return _raw(header, hmac.digest(secret, content, "sha256"))


def _newest(keys: KeySet) -> SigningKey:
    assert keys.newest is not None
    return keys.newest


def _public_pem(keys: KeySet) -> bytes:
    public = _newest(keys).private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _by_another_key(**header: object) -> str:
    another = ec.generate_private_key(ec.SECP256R1())
    brought = {"jwk": ECAlgorithm.to_jwk(another.public_key(), as_dict=True)} if "jwk" in header else {}
    return jwt.encode(CLAIMS, another, "ES256", {**header, **brought})


def _altered(keys: KeySet) -> str:
    header, _, signature = _by_the_key(keys, {**CLAIMS, "role": "anon"}).split(".")
    return ".".join([header, _part(CLAIMS).decode(), signature])


def _by_the_key(keys: KeySet, claims: dict[str, Any]) -> str:
    key = _newest(keys)
    return jwt.encode(claims, key.private, "ES256", {"kid": key.id})


FORGED: dict[str, Callable[[KeySet], str]] = {
    "no algorithm": lambda keys: _raw({"alg": "none", "kid": _newest(keys).id}),
    "an algorithm in odd letters": lambda keys: _raw({"alg": "nOnE", "kid": _newest(keys).id}),
    "the public key for a secret": lambda keys: _by_hmac(keys, _public_pem(keys)),
    "the published key for a secret": lambda keys: _by_hmac(keys, json.dumps(keys.published()[-1]).encode()),
    "an empty secret": lambda keys: _by_hmac(keys, b""),
    "a key of its own": lambda keys: _by_another_key(kid=_newest(keys).id),
    "a key that it brings along": lambda keys: _by_another_key(kid=_newest(keys).id, jwk=True),
    "an address of keys": lambda _: _by_another_key(kid="theirs", jku="http://127.0.0.1:9/jwks.json"),
    "a chain of certificates": lambda _: _by_another_key(kid="theirs", x5u="http://127.0.0.1:9/x", x5c=["A"]),
    "a path for a name": lambda _: _by_another_key(kid="../../../../dev/null"),
    "no name of a key": lambda _: _by_another_key(),
    "a list for a name": lambda keys: _raw({"alg": "ES256", "kid": [_newest(keys).id]}, b"0" * 64),
    "another curve": lambda keys: jwt.encode(
        CLAIMS, ec.generate_private_key(ec.SECP384R1()), "ES384", {"kid": _newest(keys).id}
    ),
    "another kind of key": lambda keys: jwt.encode(
        CLAIMS, rsa.generate_private_key(65_537, 2048), "RS256", {"kid": _newest(keys).id}
    ),
    "a signature of zeros": lambda keys: _raw({"alg": "ES256", "kid": _newest(keys).id}, bytes(64)),
    "no signature": lambda keys: _raw({"alg": "ES256", "kid": _newest(keys).id}),
    "claims that were altered": _altered,
    "a header without an end": lambda _: base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.e30",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused_everywhere(
    forge: Callable[[KeySet], str],
    keys: KeySet,
    gateway: Gateway,
    http: httpx.Client,
    call: Callable[..., httpx.Response],
) -> None:
    token = forge(keys)
    authorization = f"Bearer {token}"

    rest = gateway.post("for_service", authorization=authorization)
    storage = http.get(f"{gateway.url}/storage/v1/bucket", headers={"authorization": authorization})
    auth = call("GET", "/admin/users", token)
    key = gateway.post("add", '{"a": 1}', apikey=token)

    assert (rest.status_code, rest.json()["code"]) == (401, "PGRST301")
    assert (storage.status_code, storage.json()["code"]) == (400, "AccessDenied")
    assert (auth.status_code, auth.json()["error_code"]) == (403, "bad_jwt")
    assert (key.status_code, key.json()["message"]) == (401, "Invalid API key")


def test_a_token_of_the_key_that_has_expired_is_told_so(keys: KeySet, gateway: Gateway) -> None:
    token = _by_the_key(keys, {**CLAIMS, "exp": 1})

    answer = gateway.post("whoami", authorization=f"Bearer {token}")

    assert (answer.status_code, answer.json()["message"]) == (401, "JWT expired")


def test_a_users_token_is_no_key(sign_in: Callable[[], Client], gateway: Gateway) -> None:
    answer = gateway.post("add", '{"a": 1}', apikey=session_of(sign_in()).access_token)

    assert (answer.status_code, answer.json()["message"]) == (401, "Invalid API key")


def test_auths_key_signs_no_links(keys: KeySet, service: Client, bucket: str, gateway: Gateway) -> None:
    service.storage.from_(bucket).upload("a.txt", b"secret")
    token = _by_the_key(keys, {**CLAIMS, "url": f"{bucket}/a.txt", "scope": "storage:download"})

    answer = httpx.get(f"{gateway.url}/storage/v1/object/sign/{bucket}/a.txt", params={"token": token})

    assert answer.status_code == 400
    assert b"secret" not in answer.content
