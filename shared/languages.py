"""Whether a model can read the script that a text is written in.

The script of a text can be told from its letters alone, its language cannot: "Hund am Strand" passes as
English.
"""

import unicodedata
from collections.abc import Sequence
from typing import Final

# By the words that Unicode's character names begin with; a language that is not here is written in Latin
# letters.
_SCRIPTS: Final = {
    "am": ("ETHIOPIC",),
    "ar": ("ARABIC",),
    "be": ("CYRILLIC",),
    "bg": ("CYRILLIC",),
    "bn": ("BENGALI",),
    "el": ("GREEK",),
    "fa": ("ARABIC",),
    "gu": ("GUJARATI",),
    "he": ("HEBREW",),
    "hi": ("DEVANAGARI",),
    "hy": ("ARMENIAN",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ka": ("GEORGIAN",),
    "kk": ("CYRILLIC",),
    "km": ("KHMER",),
    "kn": ("KANNADA",),
    "ko": ("HANGUL", "CJK"),
    "lo": ("LAO",),
    "mk": ("CYRILLIC",),
    "ml": ("MALAYALAM",),
    "mn": ("CYRILLIC",),
    "mr": ("DEVANAGARI",),
    "my": ("MYANMAR",),
    "ne": ("DEVANAGARI",),
    "or": ("ORIYA",),
    "pa": ("GURMUKHI",),
    "ru": ("CYRILLIC",),
    "si": ("SINHALA",),
    "sr": ("CYRILLIC", "LATIN"),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "th": ("THAI",),
    "uk": ("CYRILLIC",),
    "ur": ("ARABIC",),
    "zh": ("CJK", "BOPOMOFO"),
}
_KNOWN: Final = {"LATIN", *(script for scripts in _SCRIPTS.values() for script in scripts)}
_NAMES: Final = {"CJK": "Chinese"}


def foreign_script(text: str, languages: Sequence[str]) -> str | None:
    """The first script in a text that none of these languages (BCP 47) is written in, by its English name.

    None when there is no such script, or the languages are not known.
    """
    if not languages:
        return None
    readable = {script for language in languages for script in _scripts_of(language)}
    foreign = (script for letter in text if letter.isalpha() for script in _script(letter) - readable)
    script = next(foreign, None)
    return None if script is None else _NAMES.get(script, script.capitalize())


def _scripts_of(language: str) -> Sequence[str]:
    return _SCRIPTS.get(language.partition("-")[0].lower(), ("LATIN",))


def _script(letter: str) -> set[str]:
    """Of one letter; empty for signs that many languages use, such as µ."""
    words = unicodedata.name(letter, "").replace("-", " ").split()
    return _KNOWN.intersection(words[:2])
