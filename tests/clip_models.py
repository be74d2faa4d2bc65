"""Folders of CLIP weights for tests: small ones whose vectors mean nothing, and ones that know colours."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from benchmarks.embed_parts.towers import TINY, random_weights, write_text, write_vision
from shared.embedding.tokens import clip_tokens

COLOURS: Final = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "magenta": (255, 0, 255),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}
CHINESE: Final = {"红": "red", "绿": "green", "蓝": "blue", "黄": "yellow"}
"""The words that the multilingual tower knows, and what they mean."""

_DIMENSIONS: Final = 512
_VOCABULARY: Final = 49408
# Radford et al. 2021: what CLIP's pictures are normalised with.
_MEAN: Final = np.array((0.48145466, 0.4578275, 0.40821073))
_STD: Final = np.array((0.26862954, 0.26130258, 0.27577711))
# Of a text that names no colour: so far from all pictures that a search finds none.
_NO_COLOUR: Final = (0.0, 0.0, 0.0, 0.01)


def write_tiny_clip(folder: Path, *, seed: int = 0) -> None:
    """CLIP's architecture, two layers thin, with random weights. It brings no tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = random_weights(TINY, seed)
    write_vision(folder / "vision_model.onnx", TINY, weights)
    write_text(folder / "text_model.onnx", TINY, weights)


def write_colour_clip(folder: Path) -> None:
    """A picture's vector is its mean colour, a text's the sum of the colours that it names.

    The same colour gives the same direction. Two that share two of the three channels have a cosine of a
    third, those that share fewer one below zero.
    """
    folder.mkdir(parents=True, exist_ok=True)
    axes = _axes()
    _save(
        folder / "vision_model.onnx",
        [
            helper.make_node("GlobalAveragePool", ["pixel_values"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["colour"]),
            helper.make_node("Gemm", ["colour", "axes", "offset"], ["image_embeds"]),
        ],
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 224, 224])],
        helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", _DIMENSIONS]),
        # Undoes the normalisation of the pixels.
        {"axes": _STD[:, None] * axes[:3], "offset": (_MEAN - 0.5) @ axes[:3]},
    )
    words = np.zeros((_VOCABULARY, 4))
    rows = clip_tokens(context_tokens=None).ids(list(COLOURS))
    for [start, token, _], colour in zip(rows, COLOURS.values(), strict=True):
        words[start] = _NO_COLOUR
        words[token] = _point(colour)
    _save(
        folder / "text_model.onnx",
        [
            helper.make_node("Gather", ["words", "input_ids"], ["colours"]),
            helper.make_node("ReduceSum", ["colours", "length_axis"], ["colour"], keepdims=0),
            helper.make_node("MatMul", ["colour", "axes"], ["text_embeds"]),
        ],
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])],
        helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", _DIMENSIONS]),
        {"words": words, "length_axis": np.array([1]), "axes": axes},
    )


def write_multilingual_tower(folder: Path) -> None:
    """A text tower that gives the colour CLIP's vectors for a few Chinese words.

    It gives a state for each token; what is padded would turn the mean white.
    """
    folder.mkdir(parents=True, exist_ok=True)
    states = _states_of_words()
    _save(
        folder / "model.onnx",
        [helper.make_node("Gather", ["states", "input_ids"], ["last_hidden_state"])],
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "length", 4]),
        {"states": np.stack(list(states.values()))},
    )
    save_file({"linear.weight": _axes().T.copy()}, folder / "model.safetensors")
    _word_pieces(list(states)).save(str(folder / "tokenizer.json"))
    (folder / "manifest.json").write_text(json.dumps(_MULTILINGUAL), encoding="utf-8")


def write_chinese_clip(folder: Path) -> None:
    """A model of its own for Chinese in the form of Chinese-CLIP's towers: whole pictures, and BERT's inputs.

    A token of the second segment would turn the vector white.
    """
    write_colour_clip(folder)
    states = _states_of_words()
    _save(
        folder / "text_model.onnx",
        [
            helper.make_node("Gather", ["states", "input_ids"], ["of_words"]),
            helper.make_node("Gather", ["segments", "token_type_ids"], ["of_segments"]),
            helper.make_node("Add", ["of_words", "of_segments"], ["points"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last_axis"], ["shares"]),
            helper.make_node("Mul", ["points", "shares"], ["read"]),
            helper.make_node("ReduceSum", ["read", "length_axis"], ["point"], keepdims=0),
            helper.make_node("MatMul", ["point", "axes"], ["text_embeds"]),
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ],
        helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", _DIMENSIONS]),
        {
            "states": np.stack(list(states.values())),
            "segments": np.stack([np.zeros(4), 9 * _point(COLOURS["white"])]),
            "last_axis": np.array([2]),
            "length_axis": np.array([1]),
            "axes": _axes(),
        },
    )
    _word_pieces(list(states)).save(str(folder / "tokenizer.json"))
    (folder / "manifest.json").write_text(json.dumps(_CHINESE_CLIP), encoding="utf-8")


_CHINESE_CLIP: Final = {
    "id": "tests/chinese-colours",
    "precision": "fp32",
    "space": {"name": "tests/chinese-colours", "dimensions": _DIMENSIONS, "similarity_floor": 0.2},
    "vision": {
        "file": "vision_model.onnx",
        "size_px": 224,
        "view": "stretched",
        "resample": "bicubic",
        "mean": list(_MEAN),
        "std": list(_STD),
    },
    "text": {"file": "text_model.onnx", "languages": ["zh"], "context_tokens": 52, "pad_id": 0},
}

_MULTILINGUAL: Final = {
    "id": "tests/colours-in-chinese",
    "precision": "fp32",
    "space": {"name": "openai/clip-vit-base-patch32", "dimensions": _DIMENSIONS, "similarity_floor": 0.2},
    "text": {
        "file": "model.onnx",
        "languages": ["zh"],
        "context_tokens": 128,
        "pad_id": 0,
        "output": "last_hidden_state",
        "pooling": "mean",
        "projection": "model.safetensors",
    },
}


def _states_of_words() -> dict[str, NDArray[np.float64]]:
    return {
        "[PAD]": _point(COLOURS["white"]),
        "[UNK]": np.zeros(4),
        "[CLS]": np.array(_NO_COLOUR),
        "[SEP]": np.zeros(4),
        **{word: _point(COLOURS[meaning]) for word, meaning in CHINESE.items()},
    }


def _word_pieces(words: Sequence[str]) -> Tokenizer:
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def _axes() -> NDArray[np.float32]:
    """(4, dimensions): the three channels and one for what is no colour, at right angles to each other."""
    drawn = np.random.default_rng(0).normal(size=(_DIMENSIONS, 4))
    return np.linalg.qr(drawn).Q.T.astype(np.float32)


def _point(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """A colour as seen from the middle of all."""
    return np.array([*(level / 255 - 0.5 for level in colour), 0])


def _save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    given: Sequence[onnx.ValueInfoProto],
    found: onnx.ValueInfoProto,
    weights: Mapping[str, NDArray[np.generic]],
) -> None:
    initializers = [
        numpy_helper.from_array(
            values.astype(np.int64 if np.issubdtype(values.dtype, np.integer) else np.float32), name
        )
        for name, values in weights.items()
    ]
    graph = helper.make_graph(nodes, path.stem, given, [found], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
