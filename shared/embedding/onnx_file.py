"""An ONNX file, run on the CPU by onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


class OnnxFile:
    """Loaded and ready. Threads share it."""

    def __init__(self, path: Path, threads: int) -> None:
        """`threads` compute one run. Raises `SettingsError` for a file that is missing or broken."""
        import onnxruntime

        if not path.is_file():
            raise SettingsError(
                f"the weights are missing: {path}. `pixseek weights pull` fetches them, "
                "CLIP_MODEL_DIR names a folder that holds them."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _failures() as exc:
            raise SettingsError(f"{path} is no ONNX file that can be run: {exc}") from exc
        self._inputs = {given.name: given for given in self._session.get_inputs()}
        self._outputs = [given.name for given in self._session.get_outputs()]
        self._path = path

    @property
    def inputs(self) -> Sequence[str]:
        """Their names."""
        return list(self._inputs)

    def fixed_length(self) -> int | None:
        """The second axis of the first input, where the file sets it."""
        shape = next(iter(self._inputs.values())).shape
        return shape[1] if len(shape) > 1 and isinstance(shape[1], int) else None

    def run(self, feeds: "Mapping[str, NDArray[np.generic]]", *, output: str) -> "NDArray[np.float32]":
        """One output: the one of this name, or the only one. Inputs get the type that the file wants.

        Raises `SettingsError` for a file that wants other inputs or has other outputs.
        """
        import numpy as np

        if output not in self._outputs and len(self._outputs) > 1:
            raise SettingsError(f"{self._path} has no output {output}: it has {', '.join(self._outputs)}")
        name = output if output in self._outputs else self._outputs[0]
        typed = {
            key: values.astype(_TYPES[self._inputs[key].type], copy=False) for key, values in feeds.items()
        }
        try:
            [found] = self._session.run([name], typed)
        except _failures() as exc:
            raise SettingsError(f"{self._path} is not the file that its manifest describes: {exc}") from exc
        return np.asarray(found, np.float32)


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its classes have no root of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    return (
        raised.Fail,
        raised.InvalidArgument,
        raised.InvalidGraph,
        raised.InvalidProtobuf,
        raised.NoSuchFile,
        raised.NotImplemented,
        raised.RuntimeException,
    )
