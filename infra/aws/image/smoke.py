"""Whether an image's functions can be imported from what is copied into it, and its models embed."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.aws.image import embedded
from infra.aws.image.choice import ImageChoice
from infra.bundle import imported
from infra.bundle.choice import ENTRIES
from infra.bundle.errors import BundleError
from infra.bundle.extras import may_be_absent
from infra.bundle.interpreter import lambda_python
from infra.bundle.smoke import runs_here
from shared.settings import EmbeddingSettings

_TIMEOUT_S: Final = 300


def smoke(context: Path, choice: ImageChoice) -> None:
    """Import all that the code imports, and embed with each model. Raises `BundleError`.

    Nothing else is in reach. On a machine of another architecture nothing is run.
    """
    if not runs_here(choice.arch):
        return
    with tempfile.TemporaryDirectory(prefix="pixseek-image-") as folder:
        task, home = Path(folder, "task"), Path(folder, "home")
        task.mkdir()
        for part in ("packages", "code"):
            for path in (context / part).iterdir():
                (task / path.name).symlink_to(path.resolve())
        (home / ".cache").mkdir(parents=True)
        (home / ".cache" / "pixseek").symlink_to((context / "weights").resolve())
        entries = [f"functions.{function}.{entry}" for function, each in ENTRIES.items() for entry in each]
        absent = ",".join(may_be_absent(choice.extras()))
        failures = json.loads(_python(task, {}, imported.__file__, str(task), absent, *entries))
        if failures:
            raise BundleError(f"the image lacks what its code imports: {'; '.join(failures)}")
        for embedder in choice.embedders:
            if embedder.embedder != "roboflow":
                environment = {"HOME": str(home), **_variables(embedder)}
                sizes = json.loads(_python(task, environment, embedded.__file__, str(task)))
                if len(set(sizes.values())) > 1:
                    raise BundleError(f"the model in the image makes vectors of other lengths: {sizes}")


def _variables(embedder: EmbeddingSettings) -> dict[str, str]:
    """As the functions get them: without the folders of this machine."""
    named = {"EMBEDDER": embedder.embedder, "CLIP_MODEL": embedder.clip_model}
    return {**named, "CLIP_TEXT_MODEL": embedder.clip_text_model or ""}


def _python(task: Path, environment: Mapping[str, str], *arguments: str) -> str:
    # Not isolated from HOME, as -I would be; there is nothing of a user's below it.
    done = subprocess.run(  # noqa: S603 -- ours, no shell
        [lambda_python(), "-S", "-s", "-P", "-B", *arguments],
        cwd=task,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        raise BundleError(f"what goes into the image does not run: {done.stderr.strip()}")
    return done.stdout
