"""`pixseek users` against a project that the environment names, and the keys of a stack's folder."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from supabase import Client

from infra.cli import main
from infra.local.signing_keys import SigningKeys
from tests.integration.gateway.conftest import ANON_KEY, PASSWORD, SERVICE_KEY, Account, Gateway

SignIn = Callable[[str, str], str]


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: object
    stdout: str
    stderr: str


Run = Callable[..., Ended]


@pytest.fixture
def variables(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The gateway as a project of the environment."""
    project = {
        "SUPABASE_URL": gateway.url,
        "SEARCH_URL": gateway.url,
        "SUPABASE_ANON_KEY": ANON_KEY,
        "SUPABASE_SERVICE_ROLE_KEY": SERVICE_KEY,
        "PIXSEEK_HOME": str(tmp_path / "home"),
        "COLUMNS": "250",
    }
    for name, value in project.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture
def users(
    variables: dict[str, str],  # noqa: ARG001 -- sets the environment
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `pixseek users` in this process: a process of its own takes a second to start."""

    def run(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["pixseek", "users", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex[:12]}@example.com"


@pytest.fixture
def sign_in_as(browser: Callable[[], Client]) -> SignIn:
    def sign_in(email: str, password: str) -> str:
        user = browser().auth.sign_in_with_password({"email": email, "password": password}).user
        assert user is not None
        return user.id

    return sign_in


class TestAdding:
    def test_lets_the_user_sign_in(self, email: str, users: Run, sign_in_as: SignIn) -> None:
        added = users("add", email, "--password", PASSWORD)

        assert added == (0, f"{email} can sign in\n", "")
        assert sign_in_as(email, PASSWORD)

    def test_reads_the_password_from_stdin(self, email: str, users: Run, sign_in_as: SignIn) -> None:
        added = users("add", email, stdin=f" {PASSWORD} \r\n")

        assert (added.code, added.stderr) == (0, "")
        assert sign_in_as(email, f" {PASSWORD} ")

    def test_asks_for_the_password_unseen(
        self, email: str, variables: dict[str, str], sign_in_as: SignIn
    ) -> None:
        terminal, its_end = pty.openpty()

        with subprocess.Popen(
            [sys.executable, "-c", "from infra.cli import main; main()", "users", "add", email],
            env={**os.environ, **variables},
            stdin=its_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as asking:
            assert asking.stdout is not None
            assert asking.stderr is not None
            asked = asking.stdout.read(len("password:")) + asking.stderr.read(len(" "))
            os.write(terminal, f"{PASSWORD}\n".encode())
            repeated = asking.stdout.read(len("Repeat for confirmation:")) + asking.stderr.read(len("\n "))
            os.write(terminal, f"{PASSWORD}\n".encode())
            said = asking.stdout.read()
        os.write(its_end, b"end")
        shown = os.read(terminal, 1024)
        os.close(terminal)
        os.close(its_end)

        assert (asked, repeated) == (b"password: ", b"Repeat for confirmation:\n ")
        assert (asking.returncode, said.decode()) == (0, f"{email} can sign in\n")
        assert shown == b"end"
        assert sign_in_as(email, PASSWORD)

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("short", "at least 6 characters"),
            ("x" * 73, "cannot be longer than 72"),
            ("", "needs a password"),
        ],
    )
    def test_says_why_a_password_is_not_taken(
        self, password: str, reason: str, email: str, users: Run
    ) -> None:
        ended = users("add", email, "--password", password)

        assert (ended.code, ended.stdout) == (1, "")
        assert reason in ended.stderr

    def test_says_what_to_do_about_an_address_that_is_taken(self, account: Account, users: Run) -> None:
        ended = users("add", account.email, "--password", PASSWORD)

        assert ended.code == 1
        assert f"{account.email} is a user already; to give another password, remove" in ended.stderr

    def test_says_what_is_no_address(self, users: Run) -> None:
        ended = users("add", "nobody", "--password", PASSWORD)

        assert ended.code == 1
        assert "invalid format" in ended.stderr


class TestTheList:
    def test_shows_each_user_and_the_last_sign_in(
        self, account: Account, email: str, users: Run, sign_in_as: SignIn
    ) -> None:
        users("add", email, "--password", PASSWORD)
        user_id = sign_in_as(email, PASSWORD)

        shown = users("list")

        day = r"\d{4}-\d\d-\d\d \d\d:\d\d"
        assert re.search(rf"^ *{email} +{user_id} +{day} +{day} *$", shown.stdout, re.MULTILINE)
        assert re.search(rf"^ *{account.email} +{account.id} +{day} +never *$", shown.stdout, re.MULTILINE)

    def test_goes_on_after_the_first_page(
        self, account: Account, users: Run, service: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("infra.cli.users._PER_PAGE", 1)
        service.auth.admin.create_user({"email": f"{uuid4().hex}@example.com"})

        assert account.email in users("list").stdout


class TestRemoving:
    def test_ends_a_user(self, account: Account, users: Run, service: Client) -> None:
        ended = users("remove", account.email.upper())

        assert (ended.code, ended.stderr) == (0, "")
        assert account.id not in {user.id for user in service.auth.admin.list_users()}

    def test_of_somebody_unknown_says_where_to_look(self, email: str, users: Run) -> None:
        ended = users("remove", email)

        assert ended.code == 1
        assert f"there is no user {email}; `pixseek users list` shows all" in ended.stderr


class TestAProject:
    @pytest.mark.parametrize("key", [ANON_KEY, "nonsense"], ids=["anon", "nonsense"])
    def test_that_refuses_the_key_is_told_from_a_wrong_user(
        self, key: str, users: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", key)

        ended = users("list")

        assert ended.code == 1
        assert "is SUPABASE_SERVICE_ROLE_KEY the service_role or secret key?" in ended.stderr

    def test_that_does_not_answer_is_named(self, users: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:9")

        ended = users("list")

        assert ended.code == 3
        assert "http://127.0.0.1:9 does not answer" in ended.stderr


class TestRotating:
    @pytest.fixture
    def keys(self, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> SigningKeys:
        """Those of a stack's folder; no project is in the environment."""
        monkeypatch.delenv("SUPABASE_URL")
        home = Path(variables["PIXSEEK_HOME"])
        home.mkdir()
        return SigningKeys(home / "signing_keys.json")

    def test_adds_a_key_that_signs(self, keys: SigningKeys, users: Run) -> None:
        [old] = keys.current().published()

        ended = users("rotate-key")

        newest = keys.current().newest
        assert ended.code == 0
        assert newest is not None
        assert f"new tokens are signed with key {newest.id}" in ended.stdout
        assert "tokens of 1 older keys are good until they expire" in ended.stdout
        assert keys.current().published() == [old, newest.published]

    def test_revokes_older_keys_on_request(self, keys: SigningKeys, users: Run) -> None:
        [old] = keys.current().published()

        ended = users("rotate-key", "--revoke-older")

        assert "tokens of 1 older keys are refused from now on" in ended.stdout
        assert old not in keys.current().published()
        assert len(keys.current().published()) == 1

    def test_prints_no_private_key(self, keys: SigningKeys, users: Run, variables: dict[str, str]) -> None:
        ended = users("rotate-key")

        assert keys.current().newest is not None
        kept = json.loads((Path(variables["PIXSEEK_HOME"]) / "signing_keys.json").read_text())
        assert not [key for key in kept["keys"] if key["d"] in "".join(map(str, ended))]

    def test_of_a_project_is_its_dashboards(self, users: Run) -> None:
        ended = users("rotate-key")

        assert ended.code == 1
        assert "whose dashboard rotates its keys" in ended.stderr

    def test_where_no_stack_is_says_how_to_start_one(
        self, users: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SUPABASE_URL")

        ended = users("rotate-key")

        assert ended.code == 3
        assert "Start one with `make serve`" in ended.stderr

    def test_of_a_broken_file_says_what_to_do(
        self, keys: SigningKeys, users: Run, variables: dict[str, str]
    ) -> None:
        (Path(variables["PIXSEEK_HOME"]) / "signing_keys.json").write_text("{}")

        ended = users("rotate-key")

        assert ended.code == 1
        assert "restore it, or remove it and start the stack again" in " ".join(ended.stderr.split())
        assert keys.current().published() == []


def test_the_help_shows_what_can_be_done(users: Run) -> None:
    ended = users("--help")

    assert ended.code == 0
    assert {"add", "list", "remove", "rotate-key"} <= set(ended.stdout.split())
