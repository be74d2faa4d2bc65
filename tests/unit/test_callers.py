"""Whose token it is: tokens of a made-up project, and what others would like to pass for one."""

import base64
import gzip
import hmac
import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, RSAPSSAlgorithm

from shared.callers import Caller, Callers
from shared.errors import AccessDenied, SettingsError, Unavailable
from tests.http_servers import Handler, serving

_USER = "8a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
_SECRET = "a-legacy-secret-of-the-project-that-is-long-enough"
_SERVICE_KEY = "sb_secret_made-up-for-the-tests"
_SIGN_IN = "sign in"

_Sign = Callable[[bytes], bytes]
_Json = Mapping[str, object]


class KeyServer:
    """Publishes what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.begin()

    def begin(self, *keys: object) -> None:
        """Anew, with these keys."""
        self.asked: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.before_the_end: Callable[[], object] = lambda: None
        """Called when all but the last byte is sent."""
        self.publish(*keys)

    def publish(self, *keys: object) -> None:
        self.body = json.dumps({"keys": keys}).encode()


@contextmanager
def _serving() -> Iterator[KeyServer]:
    published = KeyServer()

    class Answering(Handler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            self.send_response(published.status)
            body, headers = published.body, published.headers
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                body, headers = gzip.compress(body), {"Content-Encoding": "gzip"} | headers
            headers = {"Content-Length": str(len(body))} | headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body[:-1])
                published.before_the_end()
                self.wfile.write(body[-1:])

    with serving(Answering) as published.url:
        yield published


@dataclass(frozen=True)
class Signer:
    """Signs tokens with one key."""

    algorithm: str
    kid: str
    sign: _Sign = field(repr=False)
    jwk: _Json = field(default_factory=dict, repr=False)
    """What is published of it."""

    def token(self, claims: object, *, without: str = "", **header: object) -> str:
        named = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | header
        return _compact({name: value for name, value in named.items() if name != without}, claims, self.sign)


def _compact(header: object, claims: object, sign: _Sign) -> str:
    signed = f"{_segment(header)}.{_segment(claims)}"
    return f"{signed}.{_base64(sign(signed.encode()))}"


def _segment(value: object) -> str:
    return _base64(value if isinstance(value, bytes) else json.dumps(value).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _hs256(secret: bytes) -> _Sign:
    return lambda message: hmac.digest(secret, message, "sha256")


def _elliptic(kid: str, curve: ec.EllipticCurve | None = None) -> Signer:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # As Supabase has them.
    published = {**jwk, "kid": kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"], "ext": True}
    return Signer("ES256", kid, lambda message: ECAlgorithm(ECAlgorithm.SHA256).sign(message, key), published)


_LEGACY = Signer("HS256", "legacy", _hs256(_SECRET.encode()))
_ELLIPTIC = _elliptic("elliptic")
_STRANGER = _elliptic("elliptic")
"""Has another key, and calls it the same."""


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def rsa_signer(rsa_key: rsa.RSAPrivateKey) -> Signer:
    jwk = RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True)
    published = {**jwk, "kid": "rsa", "alg": "RS256", "use": "sig"}
    return Signer("RS256", "rsa", lambda m: RSAAlgorithm(RSAAlgorithm.SHA256).sign(m, rsa_key), published)


@pytest.fixture(scope="module")
def signers(rsa_signer: Signer) -> Mapping[str, Signer]:
    return {signer.algorithm: signer for signer in (_ELLIPTIC, rsa_signer, _LEGACY)}


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class Project:
    """A project with its auth server, and who tells its callers."""

    server: KeyServer
    callers: Callers

    def claims(self, **changed: object) -> dict[str, object]:
        now = int(time.time())
        return {
            "iss": f"{self.server.url}/auth/v1",
            "aud": "authenticated",
            "role": "authenticated",
            "sub": _USER,
            "iat": now,
            "exp": now + 3600,
            "email": "somebody@example.org",
            "is_anonymous": False,
        } | changed

    def refuses(self, token: str, match: str = _SIGN_IN) -> None:
        with pytest.raises(AccessDenied, match=match):
            self.callers.caller(token)


@pytest.fixture(scope="module", autouse=True)
def _without_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody here speaks TLS, and httpx would read all of them for each look at the keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("certificates")))
        yield


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[KeyServer, KeyServer]]:
    with _serving() as ours, _serving() as theirs:
        yield ours, theirs


@pytest.fixture
def server(servers: tuple[KeyServer, KeyServer], rsa_signer: Signer) -> KeyServer:
    servers[0].begin(_ELLIPTIC.jwk, rsa_signer.jwk)
    return servers[0]


@pytest.fixture
def attacker(servers: tuple[KeyServer, KeyServer]) -> KeyServer:
    servers[1].begin(_STRANGER.jwk)
    return servers[1]


def _callers(
    server: KeyServer, clock: Clock, *, secret: str | None = _SECRET, timeout_s: float = 30
) -> Callers:
    return Callers(server.url, jwt_secret=secret, service_key=_SERVICE_KEY, timeout_s=timeout_s, clock=clock)


@pytest.fixture
def project(server: KeyServer, clock: Clock) -> Project:
    return Project(server, _callers(server, clock))


@pytest.fixture(scope="module")
def fuzzed(rsa_signer: Signer) -> Iterator[Project]:
    """For many tokens, on a clock that stands still."""
    with _serving() as server:
        server.publish(_ELLIPTIC.jwk, rsa_signer.jwk)
        yield Project(server, _callers(server, Clock()))


_ALGORITHMS = pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])


class TestASignedInUser:
    @_ALGORITHMS
    def test_is_known_by_the_subject(
        self, algorithm: str, project: Project, signers: Mapping[str, Signer]
    ) -> None:
        token = signers[algorithm].token(project.claims())

        caller = project.callers.caller(token)

        assert caller == Caller(token, _USER, is_operator=False)

    def test_costs_one_look_at_the_keys(self, project: Project) -> None:
        token = _ELLIPTIC.token(project.claims())

        assert project.callers.caller(token) == project.callers.caller(token)

        assert project.server.asked == ["/auth/v1/.well-known/jwks.json"]

    def test_of_a_project_with_a_secret_costs_no_look_at_the_keys(self, project: Project) -> None:
        project.callers.caller(_LEGACY.token(project.claims(), without="kid"))

        assert project.server.asked == []

    def test_may_have_a_list_of_audiences(self, project: Project) -> None:
        token = _ELLIPTIC.token(project.claims(aud=["other", "authenticated"]))

        assert project.callers.caller(token).user_id == _USER

    @pytest.mark.parametrize("claim", ["iat", "nbf"])
    def test_may_come_from_a_clock_that_runs_a_little_ahead(self, claim: str, project: Project) -> None:
        token = _ELLIPTIC.token(project.claims(**{claim: int(time.time()) + 3}))

        assert project.callers.caller(token).user_id == _USER

    def test_does_not_show_the_token_in_a_log(self, project: Project) -> None:
        token = _ELLIPTIC.token(project.claims())

        assert token not in repr(project.callers.caller(token))


class TestTheOperator:
    def test_has_the_service_key(self, project: Project) -> None:
        caller = project.callers.caller(_SERVICE_KEY)

        assert caller == Caller(_SERVICE_KEY, None, is_operator=True)
        assert project.server.asked == []

    def test_may_have_a_service_key_of_the_old_form(self, server: KeyServer) -> None:
        key = _LEGACY.token({"iss": "supabase", "ref": "abc", "role": "service_role", "exp": 9_999_999_999})

        callers = Callers(server.url, jwt_secret=_SECRET, service_key=key, timeout_s=30)

        assert callers.caller(key) == Caller(key, None, is_operator=True)

    @pytest.mark.parametrize("token", [_SERVICE_KEY[:-1], f"{_SERVICE_KEY}a", _SERVICE_KEY.upper()])
    def test_does_not_have_a_key_that_is_like_it(self, token: str, project: Project) -> None:
        project.refuses(token)

    @pytest.mark.parametrize("token", ["", "x", "schlüssel", "\udcff", "e30.e30.e30"], ids=ascii)
    def test_may_be_asked_for_with_anything(self, token: str, project: Project) -> None:
        assert project.callers.operator(token) is None
        assert project.callers.operator(_SERVICE_KEY) == Caller(_SERVICE_KEY, None, is_operator=True)

    @pytest.mark.parametrize("service_key", ["", "schlüssel"])
    def test_is_nobody_if_the_key_cannot_be_sent(self, service_key: str, server: KeyServer) -> None:
        callers = Callers(server.url, jwt_secret=None, service_key=service_key, timeout_s=30)

        with pytest.raises(AccessDenied):
            callers.caller(service_key)

    @pytest.mark.parametrize("role", ["anon", "service_role"])
    def test_is_not_who_brings_another_key_of_the_old_form(self, role: str, project: Project) -> None:
        project.refuses(_LEGACY.token({"iss": "supabase", "ref": "abc", "role": role, "exp": 9_999_999_999}))


class TestClaims:
    @pytest.mark.parametrize(
        "changed",
        [
            {"iss": "https://other.supabase.co/auth/v1"},
            {"iss": "supabase"},
            {"iss": ["authenticated"]},
            {"aud": "anon"},
            {"aud": ["anon", "other"]},
            {"aud": {"authenticated": True}},
            {"aud": ["authenticated", 1]},
            {"sub": "somebody"},
            {"sub": f"{{{_USER}}}"},
            {"sub": _USER.replace("8", "８")},  # noqa: RUF001 -- digits, but no ASCII
            {"sub": f"{_USER}\n"},
            {"sub": 1},
            {"role": "service_role"},
            {"role": "anon"},
            {"role": ["authenticated"]},
            {"role": None},
            {"exp": "soon"},
            {"exp": float("nan")},
            {"exp": float("inf")},
            {"nbf": []},
            {"iat": None},
        ],
        ids=str,
    )
    def test_of_nobody_here_are_refused(self, changed: dict[str, object], project: Project) -> None:
        project.refuses(_LEGACY.token(project.claims(**changed)))

    @pytest.mark.parametrize("suffix", ["/", "/extra", "?", " "])
    def test_of_an_issuer_that_is_almost_ours_are_refused(self, suffix: str, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(iss=f"{project.server.url}/auth/v1{suffix}")))

    @pytest.mark.parametrize("missing", ["exp", "iss", "aud", "sub", "role"])
    def test_that_miss_one_are_refused(self, missing: str, project: Project) -> None:
        claims = project.claims()
        del claims[missing]

        project.refuses(_ELLIPTIC.token(claims))

    @_ALGORITHMS
    def test_that_have_expired_are_refused(
        self, algorithm: str, project: Project, signers: Mapping[str, Signer]
    ) -> None:
        claims = project.claims(exp=int(time.time()) - 60)

        project.refuses(signers[algorithm].token(claims), match="has expired: sign in again")

    @pytest.mark.parametrize("claim", ["iat", "nbf"])
    def test_that_are_not_valid_yet_are_refused(self, claim: str, project: Project) -> None:
        claims = project.claims(**{claim: int(time.time()) + 3600})

        project.refuses(_ELLIPTIC.token(claims), match="not valid yet")

    def test_are_not_believed_before_the_signature_is(self, project: Project) -> None:
        project.refuses(_STRANGER.token(project.claims(exp=1)), match="not that of a signed-in user")

    @pytest.mark.parametrize(
        "twice",
        ['"role":"service_role"', '"sub":"somebody"', '"exp":1', '"aud":"other"', '"iss":"supabase"'],
    )
    def test_that_are_there_twice_are_read_as_the_library_reads_them_once(
        self, twice: str, project: Project
    ) -> None:
        claims = json.dumps(project.claims())

        project.refuses(_ELLIPTIC.token(f"{claims[:-1]},{twice}}}".encode()))

    @pytest.mark.parametrize("claims", [[], ["sub"], "sub", 1, None, b"", b"{", b"\xff", b"[" * 3000])
    def test_that_are_no_object_are_refused(self, claims: object, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(claims))


class TestAForger:
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
    @pytest.mark.parametrize("signature", [b"", b"anything"])
    def test_does_not_get_in_without_a_signature(
        self, algorithm: str, signature: bytes, project: Project
    ) -> None:
        project.refuses(
            _compact({"alg": algorithm, "kid": "elliptic"}, project.claims(), lambda _: signature)
        )

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
    def test_does_not_get_in_with_an_empty_signature(
        self, algorithm: str, project: Project, signers: Mapping[str, Signer]
    ) -> None:
        kid = signers[algorithm].kid

        project.refuses(_compact({"alg": algorithm, "kid": kid}, project.claims(), lambda _: b""))

    @pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(63), bytes(65), bytes(128)])
    def test_does_not_get_in_with_a_signature_of_zeros_or_ones(
        self, signature: bytes, project: Project
    ) -> None:
        project.refuses(_compact({"alg": "ES256", "kid": "elliptic"}, project.claims(), lambda _: signature))

    def test_does_not_get_in_with_a_key_of_the_same_name(self, project: Project) -> None:
        project.refuses(_STRANGER.token(project.claims()))

    @pytest.mark.parametrize(
        "algorithm",
        ["HS384", "HS512", "ES384", "PS256", "RS512", "EdDSA", "hs256", "", None, 1, [], ["HS256"], {}],
    )
    def test_does_not_choose_another_algorithm(self, algorithm: object, project: Project) -> None:
        project.refuses(_LEGACY.token(project.claims(), alg=algorithm))
        project.refuses(_ELLIPTIC.token(project.claims(), alg=algorithm))

    def test_does_not_do_without_an_algorithm(self, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(), without="alg"))

    def test_does_not_pass_a_signature_for_one_of_another_kind(
        self, project: Project, rsa_signer: Signer
    ) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(), kid="rsa"))
        project.refuses(_ELLIPTIC.token(project.claims(), alg="RS256", kid="rsa"))
        project.refuses(rsa_signer.token(project.claims(), alg="ES256", kid="elliptic"))
        project.refuses(_LEGACY.token(project.claims(), alg="ES256", kid="elliptic"))

    @pytest.mark.parametrize("without", ["kid", ""])
    @pytest.mark.parametrize("secret", [None, _SECRET])
    def test_does_not_sign_with_what_is_published(
        self,
        without: str,
        secret: str | None,
        server: KeyServer,
        clock: Clock,
        rsa_key: rsa.RSAPrivateKey,
        rsa_signer: Signer,
    ) -> None:
        project = Project(server, _callers(server, clock, secret=secret))
        pem = rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = rsa_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        jwk = json.dumps(rsa_signer.jwk).encode()
        compact_jwk = json.dumps(rsa_signer.jwk, separators=(",", ":")).encode()
        known = [pem, pem.strip(), der, jwk, compact_jwk, server.body]

        tokens = [
            Signer("HS256", "rsa", _hs256(key)).token(project.claims(), without=without) for key in known
        ]

        assert [_outcome(project.callers, token) for token in tokens] == [AccessDenied] * 6

    def test_does_not_sign_with_nothing_when_there_is_no_secret(
        self, server: KeyServer, clock: Clock
    ) -> None:
        project = Project(server, _callers(server, clock, secret=""))

        project.refuses(
            Signer("HS256", "", _hs256(b"")).token(project.claims()),
            match="not accepted here",
        )

    @pytest.mark.parametrize(
        "kid",
        [
            "../../../../../../dev/null",
            "/dev/null",
            "elliptic' OR '1'='1",
            "x' UNION SELECT 'secret';--",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "elliptic\x00",
            "ELLIPTIC",
            "elliptic ",
            "",
            "\ud800",
            "k" * 5000,
            1,
            0,
            True,
            None,
            [],
            ["elliptic"],
            {"kid": "elliptic"},
        ],
        ids=ascii,
    )
    def test_does_not_name_a_key_that_is_none(self, kid: object, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(), kid=kid))
        project.refuses(Signer("HS256", "", _hs256(b"")).token(project.claims(), kid=kid))

    def test_does_not_leave_the_name_of_the_key_out(self, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(), without="kid"))

    @pytest.mark.parametrize("kid", ["elliptic", "unheard-of"])
    def test_does_not_say_where_the_key_is(self, kid: str, project: Project, attacker: KeyServer) -> None:
        where = f"{attacker.url}/auth/v1/.well-known/jwks.json"
        stranger = Signer("ES256", kid, _STRANGER.sign)

        project.refuses(stranger.token(project.claims(), jku=where))
        project.refuses(stranger.token(project.claims(), x5u=where))
        project.refuses(stranger.token(project.claims(), jwk={**_STRANGER.jwk, "kid": kid}))
        project.refuses(stranger.token(project.claims(), x5c=["MIIB"], iss=where))

        assert attacker.asked == []

    @pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64", None])
    @pytest.mark.parametrize("b64", [True, False])
    def test_does_not_change_what_a_token_means(self, crit: object, b64: bool, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(), crit=crit))
        project.refuses(_ELLIPTIC.token(project.claims(), crit=crit, b64=b64))
        project.refuses(_ELLIPTIC.token(project.claims(), b64=b64))

    @pytest.mark.parametrize(
        "token",
        [
            "",
            " ",
            ".",
            "..",
            "...",
            "garbage",
            "a.b.c",
            "e30.e30.",
            "e30.e30",
            "W10.W10.W10",
            "bnVsbA.e30.e30",
            "eyJhbGciOiJFUzI1NiJ9.e30.e30=",
            "ключ.к.двери",
            "e30.e30.\udcff",
            "e30\x00.e30.e30",
            "e30.e30.e30\n",
            "A" * 8193,
            "." * 8192,
            "A" * 10_000_000,
        ],
        ids=lambda token: ascii(token[:12]),
    )
    def test_does_not_get_in_with_what_is_no_token(self, token: str, project: Project) -> None:
        project.refuses(token)

        assert project.server.asked == []

    def test_does_not_get_in_with_two_or_four_segments(self, project: Project) -> None:
        header, claims, signature = _ELLIPTIC.token(project.claims()).split(".")

        project.refuses(f"{header}.{claims}")
        project.refuses(f"{header}.{claims}.{signature}.{signature}")
        project.refuses(f"{header}.{claims}..{signature}")
        project.refuses(f".{header}.{claims}.{signature}")

    @pytest.mark.parametrize("around", [" {}", "{} ", "Bearer {}", "{}\n", "\t{}", "{}\u00a0"])
    def test_does_not_hide_anything_around_a_token(self, around: str, project: Project) -> None:
        project.refuses(around.format(_ELLIPTIC.token(project.claims())))

    def test_does_not_make_a_token_that_is_too_long(self, project: Project) -> None:
        project.refuses(_ELLIPTIC.token(project.claims(user_metadata="x" * 8192)))

    @pytest.mark.parametrize(
        "header", [[], "alg", None, b"{", b"\xff\xfe", b"[" * 3000, b'{"alg":' + b"9" * 5000 + b"}"]
    )
    def test_does_not_get_in_with_a_header_that_is_none(self, header: object, project: Project) -> None:
        project.refuses(_compact(header, project.claims(), _LEGACY.sign))

    def test_does_not_get_in_with_a_short_rsa_key_that_is_published(self, project: Project) -> None:
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 -- that is the point
        jwk = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "short", "alg": "RS256"}
        project.server.publish(jwk)

        signer = Signer("RS256", "short", lambda m: RSAAlgorithm(RSAAlgorithm.SHA256).sign(m, key))

        project.refuses(signer.token(project.claims()))

    @pytest.mark.parametrize(
        "header",
        [{"kid": "a-telling-name"}, {"kid": 1}, {"alg": "HS257"}, {"crit": ["a-telling-name"]}, {}],
        ids=str,
    )
    def test_learns_nothing_from_a_refusal(self, header: _Json, project: Project) -> None:
        named = {"alg": "ES256", "kid": "elliptic", **header}
        token = _compact(named, project.claims(email="secret@example.org"), _STRANGER.sign)

        with pytest.raises(AccessDenied) as raised:
            project.callers.caller(token)

        told = "".join(traceback.format_exception(raised.value))
        assert raised.value.__cause__ is None
        assert not [part for part in (*token.split("."), "a-telling-name", "secret@", _USER) if part in told]


class TestEveryToken:
    @_ALGORITHMS
    @settings(max_examples=80, deadline=None)
    @given(data=st.data())
    def test_with_one_character_changed_is_refused(
        self, algorithm: str, data: st.DataObject, fuzzed: Project, signers: Mapping[str, Signer]
    ) -> None:
        token = signers[algorithm].token(fuzzed.claims())
        at = data.draw(st.integers(0, len(token) - 1))
        # A library may overlook spare bits of the last character; PyJWT does not.
        other = data.draw(st.sampled_from("ABCDwxyz0189-_.=+/ ~") | st.characters())
        assume(other != token[at])

        assert _outcome(fuzzed.callers, token[:at] + other + token[at + 1 :]) is AccessDenied

    @_ALGORITHMS
    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_that_is_cut_or_longer_is_refused(
        self, algorithm: str, data: st.DataObject, fuzzed: Project, signers: Mapping[str, Signer]
    ) -> None:
        token = signers[algorithm].token(fuzzed.claims())
        end = data.draw(st.integers(0, len(token) - 1))
        more = data.draw(st.text("Aa0-_.", min_size=1, max_size=8))

        assert _outcome(fuzzed.callers, token[:end]) is AccessDenied
        assert _outcome(fuzzed.callers, token + more) is AccessDenied

    @settings(max_examples=80, deadline=None)
    @given(
        header=st.dictionaries(
            st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jku", "zip", "cty"]),
            st.sampled_from(["ES256", "RS256", "elliptic", "rsa", "legacy", "b64"])
            | st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
                ),
                max_leaves=4,
            ),
        )
    )
    def test_with_a_header_of_any_kind_is_refused(self, header: _Json, fuzzed: Project) -> None:
        token = _compact(header, fuzzed.claims(), _LEGACY.sign)

        assert _outcome(fuzzed.callers, token) is AccessDenied

    @settings(max_examples=80, deadline=None)
    @given(
        claim=st.sampled_from(["iss", "aud", "sub", "role", "exp", "nbf", "iat", "jti", "email"]),
        value=st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=8)
            | st.just("authenticated"),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=4,
        ),
    )
    def test_with_a_claim_of_any_kind_is_this_users_or_refused(
        self, claim: str, value: object, fuzzed: Project
    ) -> None:
        token = _LEGACY.token(fuzzed.claims(**{claim: value}))

        assert _outcome(fuzzed.callers, token) in (AccessDenied, Caller(token, _USER))


class TestAProjectWithoutASecret:
    def test_takes_no_token_that_is_signed_with_one(self, server: KeyServer, clock: Clock) -> None:
        project = Project(server, _callers(server, clock, secret=None))

        project.refuses(_LEGACY.token(project.claims()), match="HS256 are not accepted here")

        assert server.asked == []

    def test_takes_those_that_are_signed_with_its_keys(self, server: KeyServer, clock: Clock) -> None:
        project = Project(server, _callers(server, clock, secret=None))

        assert project.callers.caller(_ELLIPTIC.token(project.claims())).user_id == _USER


def test_a_secret_that_can_be_guessed_is_a_wrong_setting(server: KeyServer) -> None:
    with pytest.raises(SettingsError, match="shorter than 32 bytes") as raised:
        Callers(server.url, jwt_secret="too-short-a-secret", service_key=_SERVICE_KEY, timeout_s=30)

    assert "too-short" not in str(raised.value)


class TestRotation:
    def test_a_new_key_is_found_when_it_is_first_used(self, project: Project, clock: Clock) -> None:
        project.callers.caller(_ELLIPTIC.token(project.claims()))
        new = _elliptic("new")
        project.server.publish(_ELLIPTIC.jwk, new.jwk)

        clock.now += 11

        assert project.callers.caller(new.token(project.claims())).user_id == _USER
        assert project.callers.caller(_ELLIPTIC.token(project.claims())).user_id == _USER
        assert len(project.server.asked) == 2

    def test_a_key_that_was_taken_away_is_refused_once_the_keys_are_read_again(
        self, project: Project, clock: Clock
    ) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        project.server.publish(_elliptic("new").jwk)

        clock.now += 301

        project.refuses(token)

    def test_the_last_key_may_be_taken_away(self, project: Project, clock: Clock) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        project.server.publish()

        clock.now += 301

        project.refuses(token)

    def test_a_key_that_changes_under_its_name_is_the_new_one(self, project: Project, clock: Clock) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        project.server.publish(_STRANGER.jwk)

        clock.now += 301

        assert project.callers.caller(_STRANGER.token(project.claims())).user_id == _USER
        project.refuses(token)

    def test_keys_that_nobody_has_heard_of_do_not_cost_a_look_each(
        self, project: Project, clock: Clock
    ) -> None:
        made_up = [_ELLIPTIC.token(project.claims(), kid=f"made-up-{number}") for number in range(50)]

        outcomes = [_outcome(project.callers, token) for token in made_up]
        looks = len(project.server.asked)
        clock.now += 11
        outcomes += [_outcome(project.callers, token) for token in made_up]

        assert outcomes == [AccessDenied] * 100
        assert (looks, len(project.server.asked)) == (1, 2)


def _fail(server: KeyServer) -> None:
    server.status = 503


def _redirect_to(place: str) -> Callable[[KeyServer], None]:
    def redirect(server: KeyServer) -> None:
        server.status, server.headers = 302, {"Location": place}

    return redirect


def _answer(body: bytes) -> Callable[[KeyServer], None]:
    def answer(server: KeyServer) -> None:
        server.body = body

    return answer


def _break_off(server: KeyServer) -> None:
    server.headers = {"Content-Length": str(len(server.body) + 10)}


_OUTAGES = pytest.mark.parametrize(
    "befall",
    [
        _fail,
        _redirect_to("/elsewhere"),
        _answer(b""),
        _answer(b"{"),
        _answer(b"\xff"),
        _answer(b"null"),
        _answer(b"[]"),
        _answer(b'"keys"'),
        _answer(b"{}"),
        _answer(b'{"keys":{}}'),
        _answer(b'{"keys":null}'),
        _answer(b"[" * 50_000),
        _answer(b'{"keys":' + b"[" * 50_000),
        _answer(b'{"keys":[' + b" " * 70_000 + b"]}"),
        _answer(b"<html>" + b"x" * 1_000_000),
    ],
    ids=[
        "503", "redirect", "nothing", "half an object", "no text", "null", "list", "string", "no keys",
        "keys in an object", "keys are null", "deep list", "deep keys", "too long", "a page",
    ],
)  # fmt: skip


class TestAnOutageOfTheKeys:
    @_OUTAGES
    def test_at_the_beginning_is_worth_a_retry(
        self, befall: Callable[[KeyServer], None], project: Project
    ) -> None:
        befall(project.server)

        with pytest.raises(Unavailable, match="keys cannot be read"):
            project.callers.caller(_ELLIPTIC.token(project.claims()))

    @_OUTAGES
    def test_later_locks_nobody_out_who_has_a_known_key(
        self, befall: Callable[[KeyServer], None], project: Project, clock: Clock
    ) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        befall(project.server)

        clock.now += 3599

        assert project.callers.caller(token).user_id == _USER
        assert len(project.server.asked) == 2

    def test_is_over_when_the_endpoint_answers_again(self, project: Project, clock: Clock) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.server.status = 500
        before = _outcome(project.callers, token)

        project.server.status = 200
        clock.now += 6

        assert before is Unavailable
        assert project.callers.caller(token).user_id == _USER

    def test_of_more_than_an_hour_ends_the_trust_in_what_is_known(
        self, project: Project, clock: Clock
    ) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        project.server.status = 503

        clock.now += 3601

        assert _outcome(project.callers, token) is Unavailable

    def test_does_not_say_that_a_key_is_wrong_which_may_be_new(self, project: Project, clock: Clock) -> None:
        project.callers.caller(_ELLIPTIC.token(project.claims()))
        project.server.status = 503

        clock.now += 11

        assert _outcome(project.callers, _elliptic("new").token(project.claims())) is Unavailable

    def test_costs_no_look_for_each_request(self, project: Project, clock: Clock) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.server.status = 503

        outcomes = [_outcome(project.callers, token) for _ in range(20)]
        clock.now += 6
        outcomes += [_outcome(project.callers, token) for _ in range(20)]

        assert outcomes == [Unavailable] * 40
        assert len(project.server.asked) == 2

    def test_does_not_concern_the_operator_and_the_legacy_secret(self, project: Project) -> None:
        project.server.status = 503

        assert project.callers.caller(_SERVICE_KEY).is_operator
        assert project.callers.caller(_LEGACY.token(project.claims())).user_id == _USER

    def test_may_be_that_nobody_listens(self, project: Project) -> None:
        with _serving() as gone:
            pass
        callers = _callers(gone, Clock())

        assert _outcome(callers, _ELLIPTIC.token(project.claims())) is Unavailable

    def test_may_be_that_the_answer_breaks_off(self, project: Project) -> None:
        _break_off(project.server)

        assert _outcome(project.callers, _ELLIPTIC.token(project.claims())) is Unavailable

    def test_may_be_that_the_answer_never_ends(self, server: KeyServer, clock: Clock) -> None:
        released = threading.Event()
        server.before_the_end = lambda: released.wait(30)
        project = Project(server, _callers(server, clock, timeout_s=0.05))

        outcome = _outcome(project.callers, _ELLIPTIC.token(project.claims()))
        released.set()

        assert outcome is Unavailable

    def test_may_be_that_the_answer_comes_in_drops(self, project: Project, clock: Clock) -> None:
        def drip() -> None:
            clock.now += 31

        project.server.before_the_end = drip

        assert _outcome(project.callers, _ELLIPTIC.token(project.claims())) is Unavailable

    def test_does_not_lead_to_another_server(self, project: Project, attacker: KeyServer) -> None:
        _redirect_to(attacker.url)(project.server)

        assert _outcome(project.callers, _STRANGER.token(project.claims())) is Unavailable
        assert attacker.asked == []


_SYMMETRIC = _base64(b"a key that is published is no secret")


class TestWhatIsPublished:
    @pytest.mark.parametrize(
        "beside",
        [
            None,
            "key",
            [],
            {},
            {"kid": "elliptic"},
            {"kty": "oct", "kid": "oct", "alg": "HS256", "k": _SYMMETRIC},
            {"kty": "oct"},
            {"kty": "OKP", "kid": "okp", "crv": "Ed25519", "alg": "EdDSA", "x": "AAAA"},
            {"kty": ["EC"], "kid": "list", "alg": ["ES256"]},
            {"kty": "EC", "kid": "no point", "alg": "ES256"},
            {"kty": "EC", "kid": "odd point", "alg": "ES256", "crv": "P-256", "x": 1, "y": []},
            {
                "kty": "EC",
                "kid": "off the curve",
                "alg": "ES256",
                "crv": "P-256",
                "x": "A" * 43,
                "y": "A" * 43,
            },
            {"kty": "EC", "kid": "base", "alg": "ES256", "crv": "P-256", "x": "=", "y": "é"},
            {"kty": "RSA", "kid": "no number", "alg": "RS256"},
            {"kty": "RSA", "kid": "odd number", "alg": "RS256", "n": {}, "e": None},
            {"kty": "RSA", "kid": "small number", "alg": "RS256", "n": "AQ", "e": "AQ"},
            {"kty": "RSA", "kid": "empty number", "alg": "RS256", "n": "", "e": ""},
        ],
        ids=ascii,
    )
    def test_beside_a_good_key_does_no_harm(self, beside: object, project: Project) -> None:
        project.server.publish(_ELLIPTIC.jwk, beside)

        assert project.callers.caller(_ELLIPTIC.token(project.claims())).user_id == _USER

    @pytest.mark.parametrize(
        "changed",
        [
            {"alg": "RS256"},
            {"alg": "ES384"},
            {"alg": "HS256"},
            {"alg": None},
            {"alg": ["ES256"]},
            {"kty": "RSA"},
            {"kty": "OKP"},
            {"kty": None},
            {"kty": "oct", "k": _SYMMETRIC},
            {"crv": "P-384"},
            {"crv": None},
            {"use": "enc"},
            {"kid": 1},
            {"kid": None},
        ],
        ids=str,
    )
    def test_is_not_used_when_it_is_for_something_else(self, changed: _Json, project: Project) -> None:
        project.server.publish({**_ELLIPTIC.jwk, **changed})

        project.refuses(_ELLIPTIC.token(project.claims()))

    def test_is_not_used_when_it_is_no_secret_any_more(
        self, project: Project, rsa_key: rsa.RSAPrivateKey, rsa_signer: Signer
    ) -> None:
        project.server.publish({**rsa_signer.jwk, **RSAAlgorithm.to_jwk(rsa_key, as_dict=True)})

        project.refuses(rsa_signer.token(project.claims()))

    def test_is_not_used_when_it_is_of_a_kind_that_supabase_has_not(
        self, project: Project, rsa_key: rsa.RSAPrivateKey, rsa_signer: Signer
    ) -> None:
        signer = Signer("PS256", "rsa", lambda m: RSAPSSAlgorithm(RSAAlgorithm.SHA256).sign(m, rsa_key))
        project.server.publish({**rsa_signer.jwk, "alg": "PS256"})

        project.refuses(signer.token(project.claims()))
        project.refuses(rsa_signer.token(project.claims()))

    def test_is_not_used_when_it_lies_on_another_curve(self, project: Project) -> None:
        signer = _elliptic("large", ec.SECP384R1())
        project.server.publish(signer.jwk)

        project.refuses(signer.token(project.claims()))

    @pytest.mark.parametrize("algorithm", ["HS256", "ES256", "RS256"])
    @pytest.mark.parametrize("declared", ["HS256", "ES256", "RS256", None])
    def test_is_never_a_secret(self, algorithm: str, declared: str | None, project: Project) -> None:
        project.server.publish({"kty": "oct", "kid": "oct", "alg": declared, "k": _SYMMETRIC})
        signer = Signer(algorithm, "oct", _hs256(b"a key that is published is no secret"))

        project.refuses(signer.token(project.claims()))

    def test_under_one_name_twice_counts_once(self, project: Project) -> None:
        project.server.publish(_ELLIPTIC.jwk, _STRANGER.jwk)

        assert project.callers.caller(_ELLIPTIC.token(project.claims())).user_id == _USER
        project.refuses(_STRANGER.token(project.claims()))

    def test_under_one_name_may_be_two_kinds_of_keys(self, project: Project, rsa_signer: Signer) -> None:
        project.server.publish({**rsa_signer.jwk, "kid": "elliptic"}, _ELLIPTIC.jwk)

        assert project.callers.caller(_ELLIPTIC.token(project.claims())).user_id == _USER
        assert project.callers.caller(rsa_signer.token(project.claims(), kid="elliptic")).user_id == _USER

    def test_may_be_nothing_where_a_project_signs_with_its_secret(self, project: Project) -> None:
        project.server.publish()

        project.refuses(_ELLIPTIC.token(project.claims()))
        assert project.callers.caller(_LEGACY.token(project.claims())).user_id == _USER


class TestThreads:
    def test_that_come_together_cost_one_look_at_the_keys(self, project: Project) -> None:
        token = _ELLIPTIC.token(project.claims())
        together = threading.Barrier(8, timeout=30)

        def ask() -> object:
            together.wait()
            return _outcome(project.callers, token)

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask) for _ in range(8)]

        assert [call.result(30) for call in asked] == [Caller(token, _USER)] * 8
        assert len(project.server.asked) == 1

    def test_that_have_a_known_key_do_not_wait_for_one_that_asks_for_the_keys(
        self, project: Project, clock: Clock
    ) -> None:
        token = _ELLIPTIC.token(project.claims())
        project.callers.caller(token)
        is_asking, released = threading.Event(), threading.Event()

        def hang() -> None:
            is_asking.set()
            released.wait(30)

        project.server.before_the_end = hang
        clock.now += 301

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(project.callers.caller, token)
            assert is_asking.wait(30)
            caller = project.callers.caller(token)
            was_asking = not asking.done()
            released.set()

        assert was_asking
        assert caller == asking.result(30)
        assert len(project.server.asked) == 2


def test_who_brings_no_token_does_not_wait_for_the_library() -> None:
    program = "import shared.callers, sys; print(*sorted({'cryptography', 'jwt'} & set(sys.modules)))"

    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == ""


def test_the_forgeries_of_these_tests_are_well_made(project: Project) -> None:
    claims = project.claims()

    decoded = jwt.decode(_LEGACY.token(claims), _SECRET, algorithms=["HS256"], audience="authenticated")

    assert decoded == claims


def _outcome(callers: Callers, token: str) -> object:
    """The caller, or the kind of refusal; every other error is one of the test."""
    try:
        return callers.caller(token)
    except (AccessDenied, Unavailable) as exc:
        return type(exc)
