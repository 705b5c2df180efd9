"""Whether the words of a line are those of boilerplate, such as menus, counters and captions.

configs/boilerplate.yaml names the words; here they become look-ups and one regular expression, so that a line of
content costs some 20 µs. Where a line stands, and so what a doubtful one is, pipeline/text/placement.py judges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import dropwhile

from pipeline.core.settings import Settings
from pipeline.text.lines import WORD, Line
from pipeline.text.scripts import LATIN
from pipeline.text.transliteration import latin_to_cyrillic

# Boilerplate is short: of 2,955 lines on the pages in tests/data the longest has 163 characters, and two over 20 words.
# A longer line is not tried against the words in it (characters), the patterns (characters; their time grows faster
# than the line), the labels ("Источник: …", in words) and the vocabularies (words).
_LONGEST = 400
_LONGEST_PATTERN = 150
_LONGEST_MENU = 100
_LONGEST_LABELLED = 20
_LONGEST_VOCABULARY = 12

# A number for more information, not the newsroom's
_INQUIRY = re.compile(
    r"(?!.*(?:реклам|жарнам|редакц|подпис|жазыл|advert|editor|newsroom))[^:]{0,60}(?:информаци|подробн|справ|вопрос"
    r"|ақпарат|толығырақ|анықтама|мәлімет|сұра|information|details|questions|inquir|enquir)[^:]{0,40}:.*\d[\d\s()-]{5,}\d",
    re.I,
)
_LATIN = re.compile(f"[{LATIN}][{LATIN}\\W\\d]*")
# Words with a capital each, as in a menu on one line
_CAPITALISED = re.compile(r"[А-ЯЁӘҒҚҢӨҰҮҺІ]\w+(?:\s[А-ЯЁӘҒҚҢӨҰҮҺІ]\w+)*")


class BoilerplateKind(Settings, frozen=True):
    """One kind of boilerplate and how it is known; configs/boilerplate.yaml says what each field means."""

    reason: str
    closes: bool
    opens: bool
    doubtful: bool
    phrases: tuple[str, ...]
    openings: tuple[str, ...]
    containing: tuple[str, ...]
    vocabulary: tuple[str, ...]
    patterns: tuple[str, ...]


class Boilerplate(Settings, frozen=True):
    """The content of configs/boilerplate.yaml."""

    fragments: tuple[tuple[str, str], ...]
    kinds: tuple[BoilerplateKind, ...]

    def __post_init__(self) -> None:
        """Compiles every pattern, so that a broken one is refused when the file is read."""
        compiled_rules(self)


class BoilerplateRules:
    """The boilerplate file, ready for use. In every look-up the first kind that knows a line wins."""

    def __init__(self, boilerplate: Boilerplate) -> None:
        kinds = boilerplate.kinds
        self._phrases = {_phrase_key(text): kind for kind in reversed(kinds) for text in kind.phrases}
        self._openings = {_phrase_key(text): kind for kind in reversed(kinds) for text in kind.openings}
        self._vocabularies = [(kind, frozenset(map(_phrase_key, kind.vocabulary))) for kind in kinds if kind.vocabulary]
        # 20 characters more than the longest phrase leave room for the numbers and marks around one; menus are longer.
        self._longest_phrase = max(_LONGEST_MENU, *map(len, self._phrases)) + 20
        # By their first word, so that a line is tried against the few texts whose first word it has; the rest by "".
        self._containing: dict[str, list[tuple[str, BoilerplateKind]]] = {"": []}
        for kind in kinds:
            for text in map(str.casefold, kind.containing):
                first = re.match(r"\w+(?=\W)", text)
                word = first[0].replace("ё", "е") if first else ""
                self._containing.setdefault(word, []).append((text, kind))
        self._kinds = [kind for kind in kinds for _ in kind.patterns]
        self._pattern = _joined_pattern(boilerplate)

    def judge(self, line: Line) -> None:
        """Gives the line its reason if it shows by itself that it is boilerplate."""
        if len(line.text) > _LONGEST or (line.is_body and line.text[0] in "–—"):
            return
        if line.words <= _LONGEST_LABELLED and _INQUIRY.match(line.text):
            return
        folded = line.text.casefold()
        words = WORD.findall(folded.replace("ё", "е"))
        whole = self._whole(line, words) if len(folded) <= self._longest_phrase else None
        if not whole and _LATIN.fullmatch(line.text[:_LONGEST_MENU]):  # headings of Kazakh in Latin letters
            whole = self._whole(line, WORD.findall(latin_to_cyrillic(line.text[:_LONGEST_MENU]).casefold()))
        kind = whole or self._opening(line) or self._containing_kind(folded, words) or self._matching(line.text)
        if kind and not (kind.doubtful and line.last_mark == "?"):
            line.reason, line.closes = kind.reason, kind.closes
            line.heads_list = kind.opens and (kind is whole or not (kind.phrases or kind.vocabulary))
            # A menu may be copied as one line; a subheading is no list of four sections.
            line.doubtful = kind.doubtful and not (kind is whole and line.words > 3)

    def _whole(self, line: Line, words: list[str]) -> BoilerplateKind | None:
        """The kind that has the line as a phrase, or all of its words in its vocabulary."""
        words = _without_outer_numbers(words)
        if line.last_mark != "." and (kind := self._phrases.get(" ".join(words))):
            return kind
        sentence = line.last_mark == "." and not any(map(str.isdigit, line.text))
        if sentence or not words or len(words) > _LONGEST_VOCABULARY:
            return None
        names = {word for word in words if not word[0].isdigit()}
        known = next((kind for kind, vocabulary in self._vocabularies if names and names <= vocabulary), None)
        # A menu on one line may have entries that are not listed; where every word has a capital, it is no sentence.
        # Then two thirds of the words are enough.
        if known or len(words) < 4 or not _CAPITALISED.fullmatch(line.text):
            return known
        menus = (entry for entry in self._vocabularies if entry[0].reason == "menu" and entry[0].doubtful)
        return next((kind for kind, vocabulary in menus if 3 * len(names & vocabulary) >= 2 * len(names)), None)

    def _opening(self, line: Line) -> BoilerplateKind | None:
        """The kind that has the line's label, which ends at a colon, or in a short line at a dash."""
        if line.words > _LONGEST_LABELLED:
            return None
        label, mark, _ = line.text[:60].partition(":")
        if not mark and line.words <= 10 and line.last_mark != ".":
            label, mark, _ = line.text.replace(" — ", " – ").replace(" - ", " – ").partition(" – ")
        return self._openings.get(_phrase_key(label)) if mark else None

    def _containing_kind(self, folded: str, words: list[str]) -> BoilerplateKind | None:
        tried = (entry for word in ("", *words) for entry in self._containing.get(word, ()))
        return next((kind for text, kind in tried if text in folded), None)

    def _matching(self, text: str) -> BoilerplateKind | None:
        match = self._pattern.fullmatch(text) if len(text) <= _LONGEST_PATTERN else None
        return self._kinds[int(str(match.lastgroup)[1:])] if match else None


def _joined_pattern(boilerplate: Boilerplate) -> re.Pattern[str]:
    """One regular expression of all patterns, each a group `p0`, `p1`, … with the fragments filled in."""
    fragments: dict[str, str] = {}
    for name, fragment in boilerplate.fragments:
        fragments[name] = _filled(fragment, fragments)
    groups: list[str] = []
    for pattern in (pattern for kind in boilerplate.kinds for pattern in kind.patterns):
        filled = _filled(pattern, fragments)
        groups.append(f"(?P<p{len(groups)}>{filled})")
        try:
            re.compile(filled, re.VERBOSE)  # by itself first, so that the error names it
        except re.error as error:
            raise ValueError(f"pattern {pattern!r} is not a regular expression ({error})") from error
    return re.compile("|".join(groups) or r"(?!)", re.VERBOSE)  # (?!) matches nothing


def _filled(pattern: str, fragments: Mapping[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda name: fragments.get(name[1], name[0]), pattern)


def _without_outer_numbers(words: list[str]) -> list[str]:
    """The words without the numbers before and after them."""
    words = list(dropwhile(str.isdigit, words))
    return list(dropwhile(str.isdigit, words[::-1]))[::-1]


def _phrase_key(text: str) -> str:
    """The words of a text without case, marks, ё and the numbers around them."""
    return " ".join(_without_outer_numbers(WORD.findall(text.casefold().replace("ё", "е"))))


# The rules of a boilerplate file, compiled once for every part of the program that asks.
compiled_rules = lru_cache(maxsize=8)(BoilerplateRules)
