"""What README and docs/api.md tell to type does what they say."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from infra.cli.connection import Project
from infra.local.home import ROOT
from infra.photographs import Photograph


def _commands(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [part for block in blocks for part in re.split(r"\n(?=curl )", block) if part.startswith("curl ")]


@pytest.mark.parametrize("command", _commands("README.md") + _commands("docs/api.md"))
def test_every_curl_finds_pictures(
    command: str, project: Project, pool: list[Photograph], tmp_path: Path
) -> None:
    [hit] = project.search("a dog", 1).results
    (tmp_path / "dog.jpg").write_bytes(pool[0].path.read_bytes())
    connection = project.connection
    environment = {**os.environ, "URL": connection.search_url, "TOKEN": connection.service_role_key}
    # Where nobody signs in, these pictures would have to be public.
    signed = command.replace(' --header "Authorization: Bearer $TOKEN"', "").replace(
        '"$URL/search"', '"$URL/search" --header "Authorization: Bearer $TOKEN"'
    )

    run = subprocess.run(
        ["bash", "-c", signed.replace('"image_id": 8', f'"image_id": {hit.id}')],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert "results" in json.loads(run.stdout), run.stdout
