"""The language of a paragraph.

It is found by py3langid (naive Bayes over byte n-grams). Between those it is told `among` (`languages` in
configs/pipeline.yaml; in a trained model those of its rows as well) it decides as if it knew no others; another one
must lead them by so much that no Kazakh or Russian paragraph is lost to it. Kazakh in Latin and Arabic letters, which
py3langid doesn't know, is told by its letters and by how its Cyrillic reads.

Measured against lingua, fastText, heliport, CLD2 and CLD3 (docs/LOG.md).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.core.errors import UserError
from pipeline.core.settings import load_section
from pipeline.text.scripts import KAZAKH, has_neighbours_letters, is_plain, is_unreadable, main_script
from pipeline.text.transliteration import is_kazakh_arabic, latin_to_cyrillic

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

USUAL = frozenset({"kk", "ru", "en"})
"""What a language is told among where nothing says otherwise."""
UNDETERMINED = "und"
_CYRILLIC = ("uk", "be", "bg", "sr", "mk", "mn", "tg", "tt", "ba", "ky", "uz")

# A paragraph's language shows in its first words, ten of them without an error; reading no more takes some 30 µs.
_READ = 100
# Log-likelihood by which the best language must lead. Of 3-word Kazakh and Russian pieces 1% lie below, a third of them
# wrong; of whole sentences none lies below.
_LEAD = 5.0
# The same for one that is not known. Of 8,801 Kazakh and Russian paragraphs, titles and list items none is lost to
# another language (the largest lead is 10.5); of paragraphs in eleven others one in 300 is not told.
_FOREIGN_LEAD = 12.0
# When Latin letters are read as Kazakh, its lead less that of whatever language they are taken for as they stand: so
# much a letter is enough where q or another letter speaks for a Kazakh alphabet, and without one; v, f, x, c speak
# against it.
_LATIN_LEAD, _LATIN_LEAD_WITHOUT_MARK, _PER_RARE_LETTER = 0.3, 0.6, 10.0
_LEAST_LATIN_LEAD = 20.0
_LATIN_MARK = re.compile("[qǵńýŋū]|[aou]['’ʼ](?=[a-z])", re.IGNORECASE)
_LATIN_RARE = re.compile("[vfx]|c(?!h)", re.IGNORECASE)
# Crimean Tatar, which Qazaq Latin is taken for, has few readers here; Turkish and Turkmen lack letters that Kazakh has
_CONFUSED_WITH_IT, _WITHOUT_OWN_LETTERS = "crh", ("tr", "tk")
_OWN_LETTERS = re.compile("[qǵńŋū]", re.IGNORECASE)
# Of Kazakh's own letters, and of those that Kyrgyz lacks, so many that py3langid agrees (on 2,771 texts; with six for
# ten two of 3,550 are Russian, full of Kazakh names). Half of Kazakh's lines are told so in 2 µs for 38.
_KAZAKH, _NOT_KYRGYZ = (re.compile(f"[{letters}]", re.IGNORECASE) for letters in (KAZAKH, "ғқұ"))
_ENOUGH, _ENOUGH_NOT_KYRGYZ = 10, 2
# Letters of Russian that its neighbours lack
_NEVER = {"uk": "ыэёъ", "be": "ищъ", "bg": "ыэё", "sr": "ыэёъщйюя", "mk": "ыэёъщйюя"}
# Kazakh typed without its own letters looks like Kyrgyz but for these (4% of such Kazakh, 84% of such Kyrgyz have one)
_KYRGYZ = re.compile("аа|оо|уу|ээ|ыы|ч|[ңөү]", re.IGNORECASE)


def load_languages(settings: Path) -> frozenset[str]:
    """`languages` of configs/pipeline.yaml.

    Raises:
        UserError: if one is no code that py3langid knows, or there is none.
    """
    codes = load_section(settings, "languages", list[str])
    for code in codes:
        if code not in _all().labels:
            raise UserError(f"{settings}: languages: {code!r} is none that can be told; write codes such as kk or ru")
    if not codes:
        raise UserError(f"{settings}: languages: empty; name at least one, such as kk")
    return frozenset(codes)


def detect(text: str, fallback: str = UNDETERMINED, among: frozenset[str] = USUAL) -> str:
    """The BCP-47 code of a paragraph's language: one of `among`, `kk-Latn`, `kk-Arab`, or of another language.

    Where there is no letter to judge by, or two languages come out nearly alike, it is `fallback`; `UNDETERMINED` where
    most letters are of no language known.
    """
    if not any(map(str.isalpha, text)):
        return fallback
    head = text[:_READ]
    if is_plain(head):
        return "kk" if _is_surely_kazakh(head) else _named(head, _cyrillic(among), fallback, among)
    if _is_outlandish(head, among):
        return UNDETERMINED
    if script := kazakh_script(head):
        return f"kk-{script}"
    return _named(head, _cyrillic(among) if main_script(head) == "Cyrl" else _all(), fallback, among)


def kazakh_script(text: str) -> Literal["Latn", "Arab", ""]:
    """The script of Kazakh text that is not in Cyrillic; "" for any other text."""
    head = text[:_READ]
    script = main_script(head)
    if script == "Arab":
        return script if is_kazakh_arabic(head) else ""
    return script if script == "Latn" and _is_kazakh_latin(head) else ""


def _named(head: str, identifier: LanguageIdentifier, fallback: str, among: frozenset[str]) -> str:
    ranked: list[tuple[str, float]] = identifier.rank(head)
    if ranked[0][0] in among and ranked[0][1] - ranked[1][1] >= _LEAD:
        return ranked[0][0]
    (best, score), (_, runner_up), *_ = [*(entry for entry in ranked if entry[0] in among), ("", -math.inf)]
    other, lead = ranked[0][0], ranked[0][1] - score
    enough = 0.0 if best in USUAL and has_neighbours_letters(head) else _FOREIGN_LEAD
    if other != best and lead >= enough and not _speaks_against(other, head):
        return other
    return best if score - runner_up >= _LEAD else fallback


def _is_surely_kazakh(head: str) -> bool:
    return len(_KAZAKH.findall(head)) >= _ENOUGH and len(_NOT_KYRGYZ.findall(head)) >= _ENOUGH_NOT_KYRGYZ


def _is_outlandish(head: str, known: Collection[str]) -> bool:
    """Whether letters were lost, or are of an alphabet that none of these languages is written in."""
    return is_unreadable(head) and (main_script(head) != "" or _all().rank(head)[0][0] not in known)


def _speaks_against(language: str, head: str) -> bool:
    """Whether letters tell that a text is not in a language, whatever py3langid says."""
    if language == "ky":
        return not _KYRGYZ.search(head)
    return not set(_NEVER.get(language, "")).isdisjoint(head.lower())


def _is_kazakh_latin(head: str) -> bool:
    """Of Kazakh paragraphs 98.5% are found, cut to 6 words 90%; 3% of Turkish ones are taken for it, .1% of English."""
    scores = dict(_cyrillic(USUAL).rank(latin_to_cyrillic(head).lower()))
    kazakh: float = scores.pop("kk") - max(scores.values())
    ranked: list[tuple[str, float]] = _all().rank(head)
    (other, best), (_, runner_up), *_ = [entry for entry in ranked if entry[0] != _CONFUSED_WITH_IT]
    cannot_be = other in _WITHOUT_OWN_LETTERS and len(_OWN_LETTERS.findall(head)) > 1
    lead = kazakh - (0.0 if cannot_be else best - runner_up) - _PER_RARE_LETTER * len(_LATIN_RARE.findall(head))
    enough = _LATIN_LEAD if _LATIN_MARK.search(head) else _LATIN_LEAD_WITHOUT_MARK
    return lead >= max(_LEAST_LATIN_LEAD, enough * sum(map(str.isalpha, head)))


def languages(texts: Sequence[str], among: frozenset[str] = USUAL) -> list[str]:
    """The language of each paragraph of one article; an undecided one takes that of most of the article's text."""
    detected = [detect(text, "", among) for text in texts]
    characters: Counter[str] = Counter()
    for text, language in zip(texts, detected, strict=True):
        if language:
            characters[language] += len(text)
    majority = max(characters, key=lambda language: characters[language], default=UNDETERMINED)
    return [language or majority for language in detected]


def known_languages(trained: Collection[str]) -> frozenset[str]:
    """The languages of a model's training rows that `outside` goes by; none, if some have names it can't recognise."""
    primary = frozenset(code.split("-")[0] for code in trained)
    return primary if primary <= frozenset(_all().labels) else frozenset()


def told_among(configured: Collection[str], trained: Collection[str]) -> frozenset[str]:
    """What a model's texts are told among: the configured languages and, of those of its rows, all that can be told."""
    return frozenset(configured) | {code.split("-")[0] for code in trained}.intersection(_all().labels)


def outside(text: str, language: str, known: Collection[str]) -> Literal["", "script", "language"]:
    """Why a paragraph is none that a model of these languages can judge: its letters, or its language; "" if it is.

    A language that could not be told is no reason. Where `known` is empty everything may be known.
    """
    if not known:
        return ""
    if _is_outlandish(text[:_READ], known):
        return "script"
    return "" if language == UNDETERMINED or language.split("-")[0] in known else "language"


@cache
def _cyrillic(among: frozenset[str]) -> LanguageIdentifier:
    """The model for Cyrillic text."""
    import numpy as np

    identifier = copy(_all())
    identifier.set_languages(sorted({*USUAL, *_CYRILLIC, *among}))
    # As it stands, in 16 bits, it is converted for each text: 8 µs of 38
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc, dtype=np.float32)
    return identifier


@cache
def _all() -> LanguageIdentifier:
    """The model with its 140 languages, loaded on the first call: half a second, so not at import."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
