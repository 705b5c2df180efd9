"""Capitals and look-alikes: what is set in capitals, or typed with Latin letters, as it would be written otherwise."""

from __future__ import annotations

import re

from pipeline.text.scripts import CYRILLIC, KAZAKH, LATIN

_WORD = re.compile(r"[^\W\d_]+")
_SMALL_WORD = re.compile(f"[a-zа-яё{KAZAKH}]{{4}}")
_SENTENCE_START = re.compile(r"(?:^|[.!?…]\s)\W*\w")
_WITHOUT_VOWEL = re.compile("[^aeiouyäöüóúáıūýаәеёоөуұүыіиэюя]{2,}")
_FEWEST_CAPITALS = 12  # of a text: fewer may be an abbreviation and a number

# Latin letters that look like Cyrillic ones, typed or recognised in their place. Y stands for Ү, whose twin it is.
_LATIN_TWINS = "aceiopxykhəɵABCEHIKMOPTXYƏƟ"
_TWINS = str.maketrans(_LATIN_TWINS, "асеіорхукһәөАВСЕНІКМОРТХҮӘӨ")
_MIXED = re.compile(f"[{CYRILLIC}][{_LATIN_TWINS}]|[{_LATIN_TWINS}][{CYRILLIC}]")
_TWINS_AND_CYRILLIC = re.compile(f"[{CYRILLIC}{_LATIN_TWINS}]+")
_NAME_WITH_ENDING = re.compile(f"[A-Z]{{3,}}[{CYRILLIC}]+|[{CYRILLIC}]+[A-Z]{{3,}}")  # OPECке
_SMALL_TWINS = re.compile(f"(?<![{LATIN}{CYRILLIC}])[aceiopxykhəɵ]+(?![{LATIN}{CYRILLIC}])")
_MANY_MIXED = 3  # words, in whose company a word of Latin twins throughout is none of English


def has_small_word(text: str) -> bool:
    """Whether four small letters stand together, so that it is not set in capitals; found in .1 µs."""
    return _SMALL_WORD.search(text) is not None


def is_in_capitals(text: str) -> bool:
    """Whether nine in ten of its letters are capitals."""
    capitals = sum(map(str.isupper, text))
    return capitals >= _FEWEST_CAPITALS and capitals >= 9 * sum(map(str.islower, text))


def in_small_letters(text: str) -> str:
    """A text set in capitals as it would be otherwise, but for names, whose capitals nobody can tell.

    Words without a vowel, such as РК or МВД, are abbreviations and keep theirs.
    """
    return in_sentence_case(_WORD.sub(_small_word, text))


def _small_word(match: re.Match[str]) -> str:
    small = match[0].lower()
    return match[0] if _WITHOUT_VOWEL.fullmatch(small) else small


def in_sentence_case(text: str) -> str:
    """The text with a capital at the start of each sentence."""
    return _SENTENCE_START.sub(lambda start: start[0][:-1] + start[0][-1].upper(), text)


def without_look_alikes(text: str) -> str:
    """Latin letters within Cyrillic words become the Cyrillic ones they look like; Latin words stay, endings and all.

    Where three words or more were so mixed, small words of Latin look-alikes throughout are Cyrillic, too.
    """
    if not _MIXED.search(text):
        return text
    words = {word for word in _WORD.findall(text) if _is_mixed(word)}
    text = _WORD.sub(lambda word: word[0].translate(_TWINS) if word[0] in words else word[0], text)
    return _SMALL_TWINS.sub(lambda word: word[0].translate(_TWINS), text) if len(words) >= _MANY_MIXED else text


def _is_mixed(word: str) -> bool:
    is_twin = _MIXED.search(word) and _TWINS_AND_CYRILLIC.fullmatch(word)
    return is_twin is not None and not _NAME_WITH_ENDING.fullmatch(word)
