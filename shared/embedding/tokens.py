"""Tokens: how long a text is for a model, and what the model reads of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.embedding.vocabulary import check_unicode, letter_of_byte, read_merges
from shared.errors import SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_START: Final = "<|startoftext|>"
_END: Final = "<|endoftext|>"
_WORD: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokens:
    """A tokenizer that cuts a text at the model's context and keeps the end mark. Threads share it."""

    def __init__(self, tokenizer: "Tokenizer", *, context_tokens: int | None) -> None:
        """`context_tokens`: where a text is cut, marks included; None for nowhere."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if context_tokens is not None:
            tokenizer.enable_truncation(context_tokens)
        # What looks like a mark in somebody's text is text: an end mark would cut its meaning off there.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, marks included. Raises `InputError` for broken Unicode."""
        for text in texts:
            check_unicode(text)
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]


def read_tokens(path: Path, *, context_tokens: int | None) -> Tokens:
    """From a `tokenizer.json`. Raises `SettingsError`."""
    from tokenizers import Tokenizer

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"cannot read the tokenizer {path}: {exc}") from exc
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as exc:  # the package has no class of its own
        raise SettingsError(f"{path} is no tokenizer.json: {exc}") from exc
    return Tokens(tokenizer, context_tokens=context_tokens)


def clip_tokens(*, context_tokens: int | None) -> Tokens:
    """CLIP's own, from the vocabulary that a package carries. Raises `SettingsError`.

    Source: Radford et al. 2021, arXiv 2103.00020; the rules are those of its published tokenizer.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    merges = read_merges()
    letters = letter_of_byte().values()
    words = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(first + second for first, second in merges),
    ]
    vocabulary = {word: number for number, word in enumerate([*words, _START, _END])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=_END, end_of_word_suffix="</w>"))
    tokenizer.add_special_tokens([AddedToken(_START, special=True), AddedToken(_END, special=True)])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (_END, vocabulary[_END]),
        (_START, vocabulary[_START]),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return Tokens(tokenizer, context_tokens=context_tokens)
