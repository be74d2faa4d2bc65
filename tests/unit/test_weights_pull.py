"""Fetching weights, from a server on this machine that stands for Hugging Face."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, constants, file_download

from infra.weights import WeightsError, is_complete, pull
from shared.embedding.manifest import Manifest, Source, SourceFile, Space, manifest_named
from tests.bucket_servers import closed_port
from tests.http_servers import Handler, serving

_REVISION = "0123456789abcdef0123456789abcdef01234567"
_FILES = {
    "onnx/model.onnx": bytes(range(256)) * 40,
    "tokenizer.json": b'{"version": "1.0"}',
}
_MODEL, _TOKENIZER = _FILES.values()
_MANIFEST = Manifest(
    id="somebody/birds",
    precision="fp32",
    space=Space(name="somebody/birds", dimensions=512, similarity_floor=0.2),
    source=Source(
        repository="somebody/birds",
        revision=_REVISION,
        licence="MIT",
        files=tuple(
            SourceFile(
                path=path,
                name=Path(path).name,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            for path, data in _FILES.items()
        ),
    ),
)

_HOSTED = manifest_named("openai/clip-vit-large-patch14")


class Hub:
    """Sends each file from another place, as Hugging Face does, and goes on from where it is asked to."""

    def __init__(self) -> None:
        self.files = {f"/somebody/birds/resolve/{_REVISION}/{path}": data for path, data in _FILES.items()}
        self.asked: list[tuple[str, str | None]] = []
        """File names, and the range that was asked for."""
        self.cuts: list[int] = []
        """Where the next answers break off."""
        self.knows_ranges = True
        self.status: int | None = None
        self.url = ""

    def handler(hub) -> type[Handler]:  # noqa: N805 # `self` is the handler's
        class Sending(Handler):
            def do_GET(self) -> None:
                path, is_moved = self.path.removeprefix("/cdn"), self.path.startswith("/cdn")
                if hub.status or path not in hub.files:
                    self.send_error(hub.status or 404)
                elif not is_moved:
                    self.answer(302, headers={"Location": f"{hub.url}/cdn{path}"})
                else:
                    self._send(path, hub.files[path])

            def _send(self, path: str, data: bytes) -> None:
                wanted = self.headers.get("Range")
                hub.asked.append((Path(path).name, wanted))
                start = 0
                if wanted and hub.knows_ranges:
                    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(data):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                self.wfile.write(data[start : hub.cuts.pop(0) if hub.cuts else None])

        return Sending


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    with serving(hub.handler()) as hub.url:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # It writes in portions, and waits a second before it tries again.
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
        monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()  # the next one sees this environment
        yield hub
        close_session()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "birds"


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


_WHOLE = {"model.onnx": _MODEL, "tokenizer.json": _TOKENIZER}


class TestAPull:
    def test_fetches_all_files_at_the_pinned_revision(self, hub: Hub, folder: Path) -> None:
        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked == [("model.onnx", None), ("tokenizer.json", None)]

    def test_that_is_repeated_fetches_nothing(self, hub: Hub, folder: Path) -> None:
        pull(_MANIFEST, folder)
        hub.asked.clear()

        pull(_MANIFEST, folder)

        assert hub.asked == []

    def test_replaces_a_file_that_was_altered(self, hub: Hub, folder: Path) -> None:
        pull(_MANIFEST, folder)
        hub.asked.clear()
        (folder / "model.onnx").write_bytes(b"\0" * len(_MODEL))

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked == [("model.onnx", None)]

    def test_of_weights_without_a_source_is_refused(self, folder: Path) -> None:
        manifest = _MANIFEST.model_copy(update={"source": None})

        with pytest.raises(WeightsError, match="nothing is known of where somebody/birds can be fetched"):
            pull(manifest, folder)

    def test_of_weights_that_are_only_hosted_says_who_runs_them_and_which_files_would_do(
        self, folder: Path
    ) -> None:
        with pytest.raises(WeightsError) as caught:
            pull(_HOSTED, folder)

        assert "EMBEDDER=roboflow" in str(caught.value)
        assert f"bring text_model.onnx, tokenizer.json, vision_model.onnx into {folder}" in str(caught.value)
        assert not folder.exists()

    def test_into_a_folder_that_cannot_be_made_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")

        with pytest.raises(WeightsError, match=r"cannot make the folder .*file/birds"):
            pull(_MANIFEST, tmp_path / "file" / "birds")


class TestAnInterruptedPull:
    def test_goes_on_where_it_stopped(self, hub: Hub, folder: Path) -> None:
        hub.cuts = [3000]

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked[:2] == [("model.onnx", None), ("model.onnx", "bytes=3000-")]

    def test_that_was_given_up_goes_on_the_next_time(self, hub: Hub, folder: Path) -> None:
        hub.cuts = [3000] * 20
        with pytest.raises(WeightsError, match="What came is kept: run the command again"):
            pull(_MANIFEST, folder)
        hub.cuts.clear()
        hub.asked.clear()

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked[0] == ("model.onnx", "bytes=3000-")

    def test_begins_again_where_a_server_knows_no_ranges(self, hub: Hub, folder: Path) -> None:
        hub.knows_ranges = False
        hub.cuts = [3000]

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE

    def test_that_had_all_but_its_check_fetches_nothing(self, hub: Hub, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.onnx.part").write_bytes(_MODEL)

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked == [("tokenizer.json", None)]

    def test_that_left_more_than_the_file_begins_again(self, hub: Hub, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.onnx.part").write_bytes(_MODEL + b"of another revision")

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked[0] == ("model.onnx", None)


class TestAFileThatIsNotTheExpectedOne:
    def test_is_refused_and_removed(self, hub: Hub, folder: Path) -> None:
        wrong = bytes(len(_MODEL))
        hub.files = {path: wrong if path.endswith(".onnx") else data for path, data in hub.files.items()}

        with pytest.raises(WeightsError) as caught:
            pull(_MANIFEST, folder)

        assert _content(folder) == {}
        assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
        assert f"{_REVISION}/onnx/model.onnx is not the file that was expected" in str(caught.value)

    def test_is_fetched_anew_the_next_time(self, hub: Hub, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.onnx.part").write_bytes(b"\xff" * 3000)
        with pytest.raises(WeightsError, match="not the file that was expected"):
            pull(_MANIFEST, folder)

        pull(_MANIFEST, folder)

        assert _content(folder) == _WHOLE
        assert hub.asked[:2] == [("model.onnx", "bytes=3000-"), ("model.onnx", None)]


class TestWhenNothingCanBeFetched:
    @pytest.mark.usefixtures("hub")
    def test_what_to_do_without_a_network_is_said(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with closed_port() as nowhere:
            template = f"{nowhere}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

            with pytest.raises(WeightsError) as caught:
                pull(_MANIFEST, folder)

        message = str(caught.value)
        assert f"model.onnx cannot be fetched from {nowhere}/somebody/birds" in message
        assert f"bring the file into {folder}" in message
        assert "CLIP_MODEL_DIR" in message

    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    def test_a_refusal_is_named(self, status: int, hub: Hub, folder: Path) -> None:
        hub.status = status

        with pytest.raises(WeightsError, match=rf"(?s)model\.onnx cannot be fetched .*{status}"):
            pull(_MANIFEST, folder)

    def test_an_offline_mode_is_named(self, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
            pull(_MANIFEST, folder)

        assert hub.asked == []


class TestWeightsAreComplete:
    def test_when_all_files_have_their_length(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(_MODEL)
        missing = is_complete(_MANIFEST, folder)
        (folder / "tokenizer.json").write_bytes(_TOKENIZER[:-1])
        cut = is_complete(_MANIFEST, folder)
        (folder / "tokenizer.json").write_bytes(_TOKENIZER)

        assert (missing, cut) == (False, False)
        assert is_complete(_MANIFEST, folder)

    @pytest.mark.parametrize("manifest", [_MANIFEST, _HOSTED], ids=["fetched", "only hosted"])
    def test_never_in_a_folder_that_is_not_there(self, manifest: Manifest, folder: Path) -> None:
        assert not is_complete(manifest, folder)

    def test_when_there_is_what_the_towers_of_weights_without_a_source_are_read_from(
        self, folder: Path
    ) -> None:
        folder.mkdir(parents=True)
        (folder / "text_model.onnx").touch()
        (folder / "tokenizer.json").touch()
        without_pictures = is_complete(_HOSTED, folder)
        (folder / "vision_model.onnx").touch()

        assert not without_pictures
        assert is_complete(_HOSTED, folder)
