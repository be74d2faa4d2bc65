"""Which script of a text a model cannot read."""

import pytest

from shared.languages import foreign_script

_SAMPLES = {
    "am": ("ውሻ", "Ethiopic"),
    "ar": ("كلب على الشاطئ", "Arabic"),
    "bg": ("куче на плажа", "Cyrillic"),
    "bn": ("সৈকতে কুকুর", "Bengali"),
    "el": ("σκύλος στην παραλία", "Greek"),
    "fa": ("سگ در ساحل", "Arabic"),
    "gu": ("બીચ પર કૂતરો", "Gujarati"),
    "he": ("כלב על החוף", "Hebrew"),
    "hi": ("समुद्र तट पर कुत्ता", "Devanagari"),
    "hy": ("շունը լողափին", "Armenian"),
    "ka": ("ძაღლი პლაჟზე", "Georgian"),
    "km": ("ឆ្កែ", "Khmer"),
    "kn": ("ಕಡಲತೀರದಲ್ಲಿ ನಾಯಿ", "Kannada"),
    "ko": ("해변의 개", "Hangul"),
    "lo": ("ໝາ", "Lao"),
    "ml": ("കടൽത്തീരത്ത് നായ", "Malayalam"),
    "my": ("ခွေး", "Myanmar"),
    "or": ("କୁକୁର", "Oriya"),
    "pa": ("ਕੁੱਤਾ", "Gurmukhi"),
    "ru": ("собака на пляже", "Cyrillic"),
    "si": ("බල්ලා", "Sinhala"),
    "ta": ("நாய்", "Tamil"),
    "te": ("కుక్క", "Telugu"),
    "th": ("สุนัขบนชายหาด", "Thai"),
    "zh": ("海滩上的狗", "Chinese"),
}


@pytest.mark.parametrize(("text", "script"), _SAMPLES.values(), ids=_SAMPLES)
def test_an_english_model_reads_no_other_script_than_latin(text: str, script: str) -> None:
    assert foreign_script(text, ["en"]) == script


@pytest.mark.parametrize(("language", "text"), [(code, text) for code, (text, _) in _SAMPLES.items()])
def test_a_model_reads_the_script_of_its_language(language: str, text: str) -> None:
    assert foreign_script(text, ["en", language]) is None


@pytest.mark.parametrize(
    "text",
    [
        "a dog on a beach",
        "Hund am Strand",
        "chien à la plage, où l'été dure",
        "chó trên bãi biển",
        "\uff24\uff2f\uff27",  # full-width DOG
        "ﬁne",
        "São Paulo № 5",
        "5 \u00b5m",  # micro sign
        "12 \u2126",  # ohm sign
        "1ª vez",
        "x² → y",
        "🐶 🏖️",
        "!?…",
        "42",
        "",
    ],
)
def test_latin_letters_numbers_and_signs_are_everybody_s(text: str) -> None:
    assert foreign_script(text, ["en"]) is None


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a dog 狗", "Chinese"),
        ("狗 собака", "Chinese"),
        ("собака 狗", "Cyrillic"),
        ("d\u043eg", "Cyrillic"),
        ("λ = 5 \u00b5m", "Greek"),
        ("ｲﾇ", "Katakana"),
        ("ㄍㄡˇ", "Bopomofo"),
    ],
)
def test_the_first_foreign_letter_decides(text: str, script: str) -> None:
    assert foreign_script(text, ["en"]) == script


@pytest.mark.parametrize("text", ["浜辺の犬", "いぬ", "イヌ", "スーパー"])
def test_japanese_is_written_in_three_scripts(text: str) -> None:
    assert foreign_script(text, ["ja"]) is None


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("浜辺の犬", ["zh"], "Hiragana"),
        ("イヌ", ["zh"], "Katakana"),
        ("海滩上的狗", ["ko"], None),
        ("해변의 개", ["ja"], "Hangul"),
        ("pas na plaži", ["sr"], None),
        ("пас на плажи", ["sr"], None),
        ("a dog", ["ru"], "Latin"),
        ("a dog", ["ru", "en"], None),
    ],
)
def test_a_language_reads_only_its_own_scripts(text: str, languages: list[str], script: str | None) -> None:
    assert foreign_script(text, languages) == script


@pytest.mark.parametrize("language", ["zh-TW", "zh-Hans-CN", "ZH"])
def test_a_region_or_script_of_a_language_changes_nothing(language: str) -> None:
    assert foreign_script("狗", [language]) is None


def test_a_language_that_is_not_known_is_taken_to_be_written_in_latin_letters() -> None:
    assert foreign_script("imbwa pagungwa", ["sn"]) is None
    assert foreign_script("собака", ["sn"]) == "Cyrillic"


def test_nothing_is_foreign_to_a_model_whose_languages_are_not_known() -> None:
    assert foreign_script("a dog 狗 собака", []) is None


def test_a_script_that_no_known_language_is_written_in_is_not_told() -> None:
    assert foreign_script("ᏣᎳᎩ", ["en"]) is None
