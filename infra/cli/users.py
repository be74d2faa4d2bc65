"""`pixseek users`: who may sign in, and the keys that sign their tokens."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.connection import NotRunningError, Project, RefusedError, project_of_environment
from infra.local.home import Home, default_home

if TYPE_CHECKING:
    from supabase_auth.errors import AuthApiError
    from supabase_auth.types import User

_PER_PAGE = 100
_TAKEN = {"email_exists", "user_already_exists"}

app = typer.Typer(
    name="users",
    help="Add and remove users, who sign in with the supabase client. Without a project in the environment, "
    "these are the users of the local stack.",
    no_args_is_help=True,
)

Email = Annotated[str, typer.Argument(help="The address that the user signs in with.")]
Password = Annotated[
    str | None,
    typer.Option(help="Others on this machine can see it. Without it, it is asked for, or read from stdin."),
]
RevokeOlder = Annotated[
    bool, typer.Option("--revoke-older", help="Refuse the tokens of older keys from now on.")
]


@app.command()
def add(email: Email, password: Password = None) -> None:
    """Add a user, who can sign in at once: no mail is sent to confirm the address.

    Examples: pixseek users add ann@example.com; pixseek users add ann@example.com < password.txt
    """
    project = Project.current()
    chosen = _asked() if password is None else password
    if not chosen:
        raise RefusedError("a user needs a password: type it when asked, or send it as a line to stdin")
    with _auth_of(project, email):
        project.client.auth.admin.create_user({"email": email, "password": chosen, "email_confirm": True})
    Console().print(f"{escape(email)} can sign in", highlight=False)


@app.command("list")
def list_users() -> None:
    """Show the users, and when each was last here."""
    project = Project.current()
    table = Table("user", "id", "added", "last signed in", box=None, header_style="dim")
    with _auth_of(project):
        for user in _users(project):
            last = user.last_sign_in_at
            table.add_row(
                escape(user.email or ""),
                user.id,
                f"{user.created_at.astimezone():%Y-%m-%d %H:%M}",
                f"{last.astimezone():%Y-%m-%d %H:%M}" if last else "never",
            )
    Console().print(table if table.row_count else "no users yet: pixseek users add EMAIL")


@app.command()
def remove(email: Email) -> None:
    """Remove a user. The pictures stay; whoever is signed in keeps access for up to an hour.

    Example: pixseek users remove ann@example.com
    """
    project = Project.current()
    wanted = email.strip().lower()
    with _auth_of(project, email):
        user_id = next((user.id for user in _users(project) if (user.email or "").lower() == wanted), None)
        if user_id is None:
            raise RefusedError(f"there is no user {email}; `pixseek users list` shows all")
        project.client.auth.admin.delete_user(user_id)
    Console().print(f"{escape(email)} is removed", highlight=False)


@app.command("rotate-key")
def rotate_key(revoke_older: RevokeOlder = False) -> None:
    """Sign access tokens of the local stack with a new key; it need not be started again.

    Tokens of older keys hold until they expire, within an hour. Of a hosted project, its dashboard rotates
    the keys (Project Settings, JWT Keys).
    """
    from infra.local.signing_keys import rotate

    if project_of_environment() is not None:
        raise RefusedError(
            "the environment names a project, whose dashboard rotates its keys (Project Settings, JWT Keys). "
            "Without SUPABASE_URL, this rotates those of the local stack."
        )
    path = Home(default_home()).signing_keys
    if not path.exists():
        raise NotRunningError(f"there is no stack in {path.parent} yet. Start one with `make serve`.")
    try:
        rotated = rotate(path, revokes_older=revoke_older)
    except (OSError, ValueError) as exc:
        raise RefusedError(
            f"{path} cannot be rewritten ({type(exc).__name__}); restore it, or remove it and start the "
            "stack again for new keys"
        ) from exc
    what = "refused from now on" if revoke_older else "good until they expire"
    Console().print(f"new tokens are signed with key {rotated.key_id}", highlight=False)
    Console().print(f"tokens of {rotated.older} older keys are {what}", highlight=False)


def _asked() -> str:
    """From a terminal unseen and twice, else a line of stdin."""
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _users(project: Project) -> "Iterator[User]":
    page = 1
    while found := project.client.auth.admin.list_users(page, _PER_PAGE):
        yield from found
        page += 1


@contextmanager
def _auth_of(project: Project, email: str = "") -> Iterator[None]:
    """Calls of Auth inside. Raises `NotRunningError`, `RefusedError`."""
    from supabase_auth.errors import AuthApiError, AuthError, AuthRetryableError

    url = project.connection.supabase_url
    try:
        yield
    except AuthRetryableError as exc:
        raise NotRunningError(f"{url} does not answer") from exc
    except AuthApiError as exc:
        raise RefusedError(_refusal(exc, url, email)) from exc
    except AuthError as exc:
        raise RefusedError(f"{url} refuses: {exc.message}") from exc


def _refusal(error: "AuthApiError", url: str, email: str) -> str:
    if error.code in _TAKEN:
        return f"{email} is a user already; to give another password, remove and add the user"
    if error.status in {401, 403}:
        return f"{url} refuses: {error.message}; is SUPABASE_SERVICE_ROLE_KEY the service_role or secret key?"
    return f"{url} refuses: {error.message}"
