"""What CLIP's text tower reads of a text."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from shared.embedding import vocabulary
from shared.embedding.byte_pairs import BytePairs
from shared.embedding.tokens import Tokens, clip_tokens, read_tokens
from shared.embedding.vocabulary import surely_fits
from shared.errors import InputError, SettingsError

_START, _END = 49406, 49407


@pytest.fixture(scope="module")
def clip() -> Tokens:
    return clip_tokens(context_tokens=77)


@pytest.fixture(scope="module")
def uncut() -> Tokens:
    return clip_tokens(context_tokens=None)


@pytest.fixture(scope="module")
def pairs() -> BytePairs:
    return BytePairs()


# What OpenAI's tokenizer and transformers' give, as other projects have published it.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("a diagram", [320, 22697]),
        ("  HELLO   World\t\n", [3306, 1002]),
        ("bozuman", [647, 4091, 786]),
        ("mobileclip", [9451, 944, 8546]),
        ("hatbox", [3447, 2063]),
        ("hat box", [3801, 2063]),
        ("it's we'll they're I'M", [585, 568, 649, 1342, 889, 982, 328, 880]),
        ("don't won't can't", [847, 713, 1749, 713, 753, 713]),
        ("a2b3 c4d 12345", [320, 273, 321, 274, 322, 275, 323, 272, 273, 274, 275, 276]),
        ("email: user@example.com", [4462, 281, 7031, 287, 6228, 269, 2464]),
        ("A red car, driving FAST!!", [320, 736, 1615, 267, 4161, 1953, 748]),
        ("un jardin ensoleillé à Paris", [2271, 37371, 524, 10519, 828, 4166, 21259, 3445]),
        (
            "Ünïcödé résumé 日本語",
            [6522, 77, 35689, 66, 7255, 67, 4166, 29106, 7054, 4166, 39121, 44353, 34002, 508],
        ),
        (
            'Café au lait — 1990\'s "quotes"',
            [15304, 2566, 572, 585, 2005, 272, 280, 280, 271, 568, 257, 5808, 257],
        ),
        ("🐶", [10631]),
    ],
)
def test_clips_tokens_are_those_of_its_authors(text: str, ids: list[int], clip: Tokens) -> None:
    assert clip.ids([text]) == [[_START, *ids, _END]]


def test_a_composed_letter_and_its_parts_are_the_same(clip: Tokens) -> None:
    composed, apart = clip.ids(["caf\u00e9", "cafe\u0301"])

    assert composed == apart


def test_a_long_text_is_cut_and_keeps_its_end_mark(clip: Tokens, uncut: Tokens) -> None:
    text = "a photo of a cat " * 100

    [cut], [whole] = clip.ids([text]), uncut.ids([text])

    assert len(whole) == 502
    assert cut == [*whole[:76], _END]


def test_texts_keep_their_order_and_are_not_padded(clip: Tokens) -> None:
    assert [len(ids) for ids in clip.ids(["a cat", "", "a cat on a mat"])] == [4, 2, 7]


def test_no_texts_have_no_tokens(clip: Tokens) -> None:
    assert clip.ids([]) == []


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>"])
def test_a_mark_in_a_text_is_text(mark: str, clip: Tokens) -> None:
    [ids] = clip.ids([f"a {mark} b"])

    assert (ids[0], ids[-1]) == (_START, _END)
    assert {_START, _END}.isdisjoint(ids[1:-1])


@pytest.mark.parametrize(
    "text", ["\ud800", "a cat \udc00", "\udfff\ud800"], ids=["first half", "second half", "turned round"]
)
def test_broken_unicode_is_refused(text: str, clip: Tokens) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        clip.ids(["a cat", text])


class TestATokenizerJson:
    def test_of_clips_own_gives_the_same_tokens(self, clip: Tokens, tmp_path: Path) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_text(clip._tokenizer.to_str(), encoding="utf-8")
        texts = ["it's a DIAGRAM, 猫 <|endoftext|>", "a photo of a cat " * 100]

        read = read_tokens(path, context_tokens=77)

        assert read.ids(texts) == clip.ids(texts)

    @pytest.mark.parametrize(("context_tokens", "lengths"), [(7, [4, 7, 7]), (None, [4, 7, 22])])
    def test_is_cut_where_the_model_ends_whatever_it_says(
        self, context_tokens: int | None, lengths: list[int], uncut: Tokens, tmp_path: Path
    ) -> None:
        path = tmp_path / "tokenizer.json"
        own = Tokenizer.from_str(uncut._tokenizer.to_str())
        own.enable_truncation(5)
        own.enable_padding(length=9)
        own.save(str(path))

        read = read_tokens(path, context_tokens=context_tokens)

        assert [len(ids) for ids in read.ids(["a cat", "a cat on a mat", "cat " * 20])] == lengths

    @pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xfe", b"version https://git-lfs"])
    def test_that_is_none_is_named(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_bytes(content)

        with pytest.raises(SettingsError, match=r"tokenizer\.json"):
            read_tokens(path, context_tokens=77)

    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"cannot read the tokenizer .*tokenizer\.json"):
            read_tokens(tmp_path / "tokenizer.json", context_tokens=77)


def test_clips_own_tokens_need_the_package_that_carries_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_PACKAGE", "absent_package")

    with pytest.raises(SettingsError, match=r"absent_package.*not installed"):
        clip_tokens(context_tokens=77)


def test_a_vocabulary_that_was_altered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_SHA256", "0" * 64)

    with pytest.raises(SettingsError, match="not the file of weights that was expected"):
        clip_tokens(context_tokens=77)


class TestATextThatSurelyFits:
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    @example("İİİİ")
    @example("\u0958\u2adc\U0001d15e")
    @example("ΌΣΟΣ ΟΣ")
    @example("㋿ﷺ")
    def test_has_no_more_tokens_than_that(self, uncut: Tokens, text: str) -> None:
        [ids] = uncut.ids([text])

        assert not surely_fits(text, len(ids) - 1)

    @pytest.mark.parametrize(
        ("text", "fits"),
        [("", True), ("a" * 75, True), ("a" * 76, False), ("猫" * 25, True), ("猫" * 26, False)],
    )
    def test_is_counted_in_bytes(self, text: str, fits: bool) -> None:
        assert surely_fits(text, 77) is fits

    def test_is_not_broken_unicode(self) -> None:
        assert not surely_fits("\ud800", 77)


def test_a_word_that_is_not_in_the_vocabulary_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"?": 0, "cat": 1}, unk_token="?")).save(str(path))

    assert read_tokens(path, context_tokens=None).ids(["cat", "dog"]) == [[1], [0]]


class TestTheCountWithoutIds:
    @given(st.text(st.characters(max_codepoint=0x9FFF, exclude_categories=["Cs", "Cn", "Co"]), max_size=60))
    @example("it's we'll they're I'M don't '''s 's't")
    @example("ΌΣΟΣ ΟΣ, İstanbul, Ⅷ ½ ²")
    @example("caf\u00e9 cafe\u0301 \u0958\u2adc\U0001d15e ㋿ﷺ")
    @example("a\x1cb\x1fc\x85d\u00a0e\u2028f\u3000g")
    @example("___--==||\\//~~ 12345 a2b3 <|endoftext|>")
    @example("🐶🏽\u200d🦰👩\u200d👩\u200d👧\u200d👦 日本語 안녕하세요")
    def test_is_that_of_the_ids(self, uncut: Tokens, pairs: BytePairs, text: str) -> None:
        [ids] = uncut.ids([text])

        assert pairs.count(text) == len(ids)

    @pytest.mark.parametrize("text", ["a photo of a cat " * 100, "安全帽" * 300, "x" * 1000])
    def test_is_that_of_the_ids_of_a_long_text(self, uncut: Tokens, pairs: BytePairs, text: str) -> None:
        [ids] = uncut.ids([text])

        assert pairs.count(text) == len(ids)

    def test_refuses_broken_unicode(self, pairs: BytePairs) -> None:
        with pytest.raises(InputError, match="not valid Unicode"):
            pairs.count("a cat \udc00")
