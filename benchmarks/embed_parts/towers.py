"""CLIP's two towers as ONNX graphs with seeded random weights, of any size.

The architecture is that of Radford et al. 2021 (arXiv 2103.00020) as transformers' `CLIPModel` has it; the
weights bear its names, so that a peer can run the same ones. What is computed costs what the trained model
costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = dict[str, NDArray[np.float32]]

_OPSET: Final = 17
_IR: Final = 9


@dataclass(frozen=True, slots=True)
class Size:
    """How large one tower is."""

    layers: int
    width: int
    heads: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A CLIP."""

    vision: Size
    text: Size
    dimensions: int = 512
    image_px: int = 224
    patch_px: int = 16
    context_tokens: int = 77
    vocabulary: int = 49408


VIT_B_16: Final = Shape(Size(12, 768, 12), Size(12, 512, 8))
TINY: Final = Shape(Size(2, 16, 2), Size(2, 16, 2), patch_px=32)


def random_weights(shape: Shape, seed: int = 0) -> Weights:
    """Drawn so that activations keep their scale through the layers."""
    drawn = np.random.default_rng(seed)

    def draw(*sizes: int, scale: float | None = None) -> NDArray[np.float32]:
        return drawn.normal(0, scale or sizes[-1] ** -0.5, sizes).astype(np.float32)

    vision, text = shape.vision, shape.text
    patches = (shape.image_px // shape.patch_px) ** 2
    weights: Weights = {
        "vision_model.embeddings.class_embedding": draw(vision.width, scale=1),
        "vision_model.embeddings.patch_embedding.weight": draw(
            vision.width, 3, shape.patch_px, shape.patch_px, scale=1 / shape.patch_px
        ),
        "vision_model.embeddings.position_embedding.weight": draw(patches + 1, vision.width, scale=0.1),
        "text_model.embeddings.token_embedding.weight": draw(shape.vocabulary, text.width, scale=1),
        "text_model.embeddings.position_embedding.weight": draw(shape.context_tokens, text.width, scale=0.1),
        "visual_projection.weight": draw(shape.dimensions, vision.width),
        "text_projection.weight": draw(shape.dimensions, text.width),
    }
    norms = {
        "vision_model.pre_layrnorm": vision.width,
        "vision_model.post_layernorm": vision.width,
        "text_model.final_layer_norm": text.width,
    }
    for tower, size in (("vision_model", vision), ("text_model", text)):
        for layer in range(size.layers):
            prefix = f"{tower}.encoder.layers.{layer}"
            norms |= {f"{prefix}.layer_norm1": size.width, f"{prefix}.layer_norm2": size.width}
            linears = {
                **{f"self_attn.{part}_proj": (size.width, size.width) for part in ("q", "k", "v", "out")},
                "mlp.fc1": (4 * size.width, size.width),
                "mlp.fc2": (size.width, 4 * size.width),
            }
            for name, (rows, columns) in linears.items():
                weights[f"{prefix}.{name}.weight"] = draw(rows, columns)
                weights[f"{prefix}.{name}.bias"] = draw(rows, scale=0.1)
    for name, width in norms.items():
        weights[f"{name}.weight"] = 1 + draw(width, scale=0.1)
        weights[f"{name}.bias"] = draw(width, scale=0.1)
    return weights


def write_vision(path: Path, shape: Shape, weights: Weights) -> None:
    """`pixel_values` (n, 3, px, px) → `image_embeds` (n, dimensions), not normalised."""
    graph = _Graph(weights)
    prefix = "vision_model.embeddings"
    kernel, patch = graph.weight(f"{prefix}.patch_embedding.weight"), [shape.patch_px] * 2
    patches = graph.add("Conv", "pixel_values", kernel, strides=patch, kernel_shape=patch)
    width = shape.vision.width
    flat = graph.add("Reshape", patches, graph.constant([0, width, -1]))
    rows = graph.add("Transpose", flat, perm=[0, 2, 1])
    count = graph.add("Slice", graph.add("Shape", "pixel_values"), *map(graph.constant, ([0], [1])))
    sizes = graph.add("Concat", count, graph.constant([1, width]), axis=0)
    first = graph.add("Expand", graph.weight(f"{prefix}.class_embedding", (1, 1, width)), sizes)
    hidden = graph.add("Concat", first, rows, axis=1)
    hidden = graph.add("Add", hidden, graph.weight(f"{prefix}.position_embedding.weight"))
    hidden = graph.norm(hidden, "vision_model.pre_layrnorm")
    hidden = graph.layers(hidden, "vision_model", shape.vision, mask=None)
    pooled = graph.add("Gather", hidden, graph.constant(0), axis=1)
    pooled = graph.norm(pooled, "vision_model.post_layernorm")
    graph.project(pooled, "visual_projection", "image_embeds")
    pixels = helper.make_tensor_value_info(
        "pixel_values", TensorProto.FLOAT, ["n", 3, shape.image_px, shape.image_px]
    )
    graph.save(path, pixels, "image_embeds", shape.dimensions)


def write_text(path: Path, shape: Shape, weights: Weights) -> None:
    """`input_ids` (n, length) → `text_embeds` (n, dimensions), not normalised; read at the end mark."""
    graph = _Graph(weights)
    prefix = "text_model.embeddings"
    hidden = graph.add("Gather", graph.weight(f"{prefix}.token_embedding.weight"), "input_ids")
    length = graph.add("Slice", graph.add("Shape", "input_ids"), *map(graph.constant, ([1], [2])))
    positions = graph.weight(f"{prefix}.position_embedding.weight")
    hidden = graph.add("Add", hidden, graph.add("Slice", positions, graph.constant([0]), length))
    size = (shape.context_tokens, shape.context_tokens)
    whole = graph.array("mask", np.triu(np.full(size, -1e9, np.float32), 1))
    both = graph.add("Concat", length, length, axis=0)
    mask = graph.add("Slice", whole, graph.constant([0, 0]), both)
    hidden = graph.layers(hidden, "text_model", shape.text, mask)
    hidden = graph.norm(hidden, "text_model.final_layer_norm")
    # The end mark has the largest id, and the first of them is the end.
    end = graph.add("ArgMax", "input_ids", axis=1, keepdims=0)
    count = graph.add("Size", end)
    rows = graph.add("Range", *(graph.constant(0), count, graph.constant(1)))
    places = graph.add(
        "Concat", *(graph.add("Unsqueeze", part, graph.constant([1])) for part in (rows, end)), axis=1
    )
    graph.project(graph.add("GatherND", hidden, places), "text_projection", "text_embeds")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])
    graph.save(path, ids, "text_embeds", shape.dimensions)


@dataclass
class _Graph:
    weights: Mapping[str, NDArray[np.float32]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: int | list[int]) -> str:
        name = output or f"{operator}_{len(self.nodes)}"
        node = helper.make_node(operator, inputs, [name], name=f"{name}_node")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def array(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def constant(self, values: int | Sequence[int]) -> str:
        return self.array(f"int_{values}", np.asarray(values, np.int64))

    def weight(self, name: str, sizes: tuple[int, ...] | None = None) -> str:
        values = self.weights[name]
        return self.array(name, values if sizes is None else values.reshape(sizes))

    def norm(self, hidden: str, name: str) -> str:
        """Its epsilon is the operator's default, which is also CLIP's: 1e-5."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", hidden, scale, bias)

    def linear(self, hidden: str, name: str) -> str:
        product = self.add(
            "MatMul", hidden, self.array(f"{name}.weight", self.weights[f"{name}.weight"].T.copy())
        )
        return self.add("Add", product, self.weight(f"{name}.bias"))

    def project(self, pooled: str, name: str, output: str) -> None:
        self.add("MatMul", pooled, self.array(name, self.weights[f"{name}.weight"].T.copy()), output=output)

    def layers(self, hidden: str, tower: str, size: Size, mask: str | None) -> str:
        for layer in range(size.layers):
            prefix = f"{tower}.encoder.layers.{layer}"
            seen = self.attention(self.norm(hidden, f"{prefix}.layer_norm1"), prefix, size, mask)
            hidden = self.add("Add", hidden, seen)
            inner = self.linear(self.norm(hidden, f"{prefix}.layer_norm2"), f"{prefix}.mlp.fc1")
            gate = self.add(
                "Sigmoid", self.add("Mul", inner, self.array("1.702", np.array(1.702, np.float32)))
            )
            hidden = self.add("Add", hidden, self.linear(self.add("Mul", inner, gate), f"{prefix}.mlp.fc2"))
        return hidden

    def attention(self, hidden: str, prefix: str, size: Size, mask: str | None) -> str:
        head = size.width // size.heads
        split = self.constant([0, -1, size.heads, head])
        query, key, value = (
            self.add(
                "Transpose",
                self.add("Reshape", self.linear(hidden, f"{prefix}.self_attn.{part}_proj"), split),
                perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3],
            )
            for part in ("q", "k", "v")
        )
        scale = self.array(f"scale_{head}", np.array(head**-0.5, np.float32))
        scores = self.add("Mul", self.add("MatMul", query, key), scale)
        if mask is not None:
            scores = self.add("Add", scores, mask)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), value)
        joined = self.add(
            "Reshape", self.add("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant([0, -1, size.width])
        )
        return self.linear(joined, f"{prefix}.self_attn.out_proj")

    def save(self, path: Path, given: onnx.ValueInfoProto, output: str, dimensions: int) -> None:
        found = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", dimensions])
        graph = helper.make_graph(self.nodes, path.stem, [given], [found], list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        onnx.save(model, path)
