"""What a line of a news page shows by itself: its shape, and whether its words are those of boilerplate.

configs/boilerplate.yaml names the words; here they become look-ups and one regular expression, so that a line of content
costs some 20 µs. Where a line stands, and so what a doubtful one is, pipeline/text/segment.py judges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from pipeline.core.schemas import Kind
from pipeline.core.settings import Settings
from pipeline.text.cues import CAPITALS, CONTACT, INQUIRY, phrase_key, strip_numbers

# Boilerplate is short: beyond these lengths (characters) a line is content, and is not tried against the words or the
# patterns; a label ("Источник: …") heads no more than so many words.
_LONGEST = 400
_LONGEST_PATTERN = 150
_LONGEST_LABELLED = 20
_LONGEST_VOCABULARY = 12


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


# ---- the shape of a line ---------------------------------------------------------------------------------------------

_WORD = re.compile(r"\w+")
_CLOSING_MARKS = "\"'»”’)]"
_MARKS = " \"'«»“”„’.…!?,:;–—-"
_SENTENCES_MEET = re.compile(r"[.!?…][»”\")]*\s[«“\"–—]?\s?([^\W\d_])")
_BULLET = re.compile(r"(?:[-–—•·*▪▫◦‣●○■□►▶✓✔✅❌➢➤📍]|\d{1,2}[.)]|[^\W\d_]\))\s(?=\S)")
_PAIR = re.compile(r"(?:[\w«»-]+\s){0,2}[\w«»-]+\s?:\s\S")


@dataclass(slots=True)
class Line:
    """A line that is not blank and what is known of it. Without a `reason` it is content.

    `heading`: a list goes with it; `closes`: no content follows it after the last paragraph; `doubtful`: in a box of
    facts or an introduced list it is content. `ends` is the last mark, closing quotes and brackets left out; an
    ellipsis counts as "…".
    """

    number: int
    text: str
    reason: str = ""
    heading: bool = False
    closes: bool = False
    doubtful: bool = False
    body: bool = field(init=False)
    kind: Kind = field(init=False, default="body")
    words: int = field(init=False)
    ends: str = field(init=False)

    def __post_init__(self) -> None:
        """Tells body paragraphs and list items from lines that look like a headline."""
        bare = self.text.rstrip(_CLOSING_MARKS)
        self.ends = "…" if bare.endswith("..") else bare[-1:] or " "
        self.words = self.text.count(" ") + 1
        bullet = _BULLET.match(self.text)
        rest = self.text[bullet.end() :] if bullet else self.text
        speech = bullet is not None and bullet[0][0] in "-–—" and not rest[0].islower() and self.ends in ".!?…"
        if bullet and not speech:
            self.kind = "item"
            self.body = self.words >= 8 and self.ends == "."
        elif self.ends in ".;":
            self.body = self.words >= 2
        elif self.ends == ":":
            self.body = self.words >= 6
        else:
            # Headlines end in ? ! … too, but are hardly ever two sentences of ten words or one of 25.
            self.body = speech or self.words >= 25 or (self.words >= 10 and self.sentences)

    @property
    def sentences(self) -> bool:
        """Whether it holds two sentences or more."""
        return any(match[1].isupper() for match in _SENTENCES_MEET.finditer(self.text))

    @property
    def continues(self) -> bool:
        """Whether it is a list item written like a part of a sentence, as headlines under a bullet are not."""
        start = _BULLET.match(self.text)
        return start is not None and (self.text[start.end()].islower() or self.ends in ".,;")

    @property
    def pair(self) -> bool:
        """Whether it is a row of a box of facts: "Амплуа: либеро"."""
        return _PAIR.match(self.text) is not None

    @property
    def headline(self) -> bool:
        """Whether it could be a headline in a list of them."""
        first = self.text.lstrip('«“"')[:1]
        listed = self.text.count(",") > 2 or self.ends in ",:"
        short = self.kind == "body" and not self.body and self.words >= 3
        return (
            short and first.isupper() and not listed and not self.sentences and not CONTACT.search(self.text[:_LONGEST])
        )

    @property
    def long(self) -> bool:
        """Whether it is too long for an entry of a menu."""
        return self.words >= 9 or len(self.text) >= 70

    @property
    def stems(self) -> set[str]:
        """The first five letters of the words that have four or more: enough to see that a headline names the topic."""
        found = {word[:5] for word in _WORD.findall(self.text.casefold()) if len(word) >= 4 and not word[0].isdigit()}
        return found - {"котор"}  # который names no topic

    @property
    def key(self) -> str:
        """The text without case and the marks around it; lines with the same key say the same."""
        return self.text.casefold().strip(_MARKS) or self.text


# ---- the words of a line ---------------------------------------------------------------------------------------------


class BoilerplateRules:
    """The boilerplate file, ready for use. In every look-up the first kind that knows a line wins."""

    def __init__(self, boilerplate: Boilerplate) -> None:
        kinds = boilerplate.kinds
        self._phrases = {phrase_key(text): kind for kind in reversed(kinds) for text in kind.phrases}
        self._openings = {phrase_key(text): kind for kind in reversed(kinds) for text in kind.openings}
        self._vocabularies = [(kind, frozenset(map(phrase_key, kind.vocabulary))) for kind in kinds if kind.vocabulary]
        self._longest_phrase = max(map(len, self._phrases), default=0) + 20
        self._containing: dict[str, list[tuple[str, BoilerplateKind]]] = {}
        self._parts: list[tuple[str, BoilerplateKind]] = []
        for kind in kinds:
            for text in map(str.casefold, kind.containing):
                first = re.match(r"\w+(?=\W)", text)
                known = self._containing.setdefault(first[0].replace("ё", "е"), []) if first else self._parts
                known.append((text, kind))
        self._kinds = [kind for kind in kinds for _ in kind.patterns]
        self._pattern = _joined(boilerplate)

    def judge(self, line: Line) -> None:
        """Gives the line its reason if it shows by itself that it is boilerplate."""
        if len(line.text) > _LONGEST or (line.body and line.text[0] in "–—"):
            return
        if line.words <= _LONGEST_LABELLED and INQUIRY.match(line.text):
            return
        folded = line.text.casefold()
        words = _WORD.findall(folded.replace("ё", "е"))
        whole = self._whole(line, words) if len(folded) <= self._longest_phrase else None
        kind = whole or self._opening(line) or self._containing_kind(folded, words) or self._matching(line.text)
        if kind and not (kind.doubtful and line.ends == "?"):
            line.reason, line.closes = kind.reason, kind.closes
            line.heading = kind.opens and (kind is whole or not (kind.phrases or kind.vocabulary))
            # A menu may be copied as one line; a subheading is no list of four sections.
            line.doubtful = kind.doubtful and not (kind is whole and line.words > 3)

    def _whole(self, line: Line, words: list[str]) -> BoilerplateKind | None:
        words = strip_numbers(words)
        if line.ends != "." and (kind := self._phrases.get(" ".join(words))):
            return kind
        if not words or len(words) > _LONGEST_VOCABULARY or (line.ends == "." and not any(map(str.isdigit, line.text))):
            return None
        named = {word for word in words if not word[0].isdigit()}
        known = next((kind for kind, vocabulary in self._vocabularies if named and named <= vocabulary), None)
        # A menu on one line may have an entry that is not listed; where every word has a capital, it is no sentence.
        if known or len(words) < 4 or not CAPITALS.fullmatch(line.text):
            return known
        listed = (
            kind
            for kind, vocabulary in self._vocabularies
            if kind.reason == "menu" and kind.doubtful and 3 * len(named & vocabulary) >= 2 * len(named)
        )
        return next(listed, None)

    def _opening(self, line: Line) -> BoilerplateKind | None:
        if line.words > _LONGEST_LABELLED:
            return None
        head, mark, _ = line.text[:60].partition(":")
        if not mark and line.words <= 10 and line.ends != ".":
            head, mark, _ = line.text.replace(" — ", " – ").replace(" - ", " – ").partition(" – ")
        return self._openings.get(phrase_key(head)) if mark else None

    def _containing_kind(self, folded: str, words: list[str]) -> BoilerplateKind | None:
        for text, kind in self._parts:
            if text in folded:
                return kind
        for word in words:
            for text, kind in self._containing.get(word, ()):
                if text in folded:
                    return kind
        return None

    def _matching(self, text: str) -> BoilerplateKind | None:
        match = self._pattern.fullmatch(text) if len(text) <= _LONGEST_PATTERN else None
        return self._kinds[int(str(match.lastgroup)[1:])] if match else None


def _joined(boilerplate: Boilerplate) -> re.Pattern[str]:
    """One regular expression of all patterns, each a group `p0`, `p1`, … with the fragments filled in."""
    patterns = [pattern for kind in boilerplate.kinds for pattern in kind.patterns]
    fragments: dict[str, str] = {}
    for name, fragment in boilerplate.fragments:
        fragments[name] = _filled(fragment, fragments)
    filled = [_filled(pattern, fragments) for pattern in patterns]
    for pattern, compiled in zip(patterns, filled, strict=True):
        try:
            re.compile(compiled, re.VERBOSE)
        except re.error as error:
            raise ValueError(f"pattern {pattern!r} is not a regular expression ({error})") from error
    return re.compile(
        "|".join(f"(?P<p{number}>{pattern})" for number, pattern in enumerate(filled)) or r"(?!)", re.VERBOSE
    )


def _filled(pattern: str, fragments: dict[str, str]) -> str:
    for name, fragment in fragments.items():
        pattern = pattern.replace(f"<{name}>", fragment)
    return pattern


@lru_cache(maxsize=8)
def compiled_rules(boilerplate: Boilerplate) -> BoilerplateRules:
    """The boilerplate's rules, compiled once."""
    return BoilerplateRules(boilerplate)
