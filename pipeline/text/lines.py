"""One line of a news page by its shape: a body paragraph, a list item, or something like a headline.

Its words are judged in pipeline/text/boilerplate.py, the place where it stands in pipeline/text/placement.py. Counts in
comments are of the pages in tests/data: 1,718 lines of content, 113 titles, 638 linked headlines, 660 lines of menus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pipeline.core.schemas import Kind

WORD = re.compile(r"\w+")
_CLOSING_MARKS = "\"'»”’)]"
_MARKS = " \"'«»“”„’.…!?,:;–—-"
_SENTENCES_MEET = re.compile(r"[.!?…][»”\")]*\s[«“\"–—]?\s?([^\W\d_])")
_BULLET = re.compile(r"(?:[-–—•·*▪▫◦‣●○■□►▶✓✔✅❌➢➤📍]|\d{1,2}[.)]|[^\W\d_]\))\s(?=\S)")
_PAIR = re.compile(r"(?:[\w«»-]+\s){0,2}[\w«»-]+\s?:\s\S")
# Whom to call or to write to: no headline says so.
_CONTACT = re.compile(r"\w@\w|\d[\d\s()-]{7,}\d|\b\d{3,4}\b.*(?:хабарлас|қоңырау|звони|обращ|обрат|call)", re.I)


@dataclass(slots=True)
class Line:
    """A line that is not blank and what is known of it. Without a `reason` it is content.

    `heads_list`: a list goes with it; `closes`: no content follows it after the last paragraph; `doubtful`: in a box of
    facts or an introduced list it is content. `last_mark` leaves out closing quotes and brackets; an ellipsis is "…".
    """

    number: int
    text: str
    reason: str = ""
    heads_list: bool = False
    closes: bool = False
    doubtful: bool = False
    is_body: bool = field(init=False)
    kind: Kind = field(init=False, default="body")
    words: int = field(init=False)
    last_mark: str = field(init=False)

    def __post_init__(self) -> None:
        """Tells body paragraphs and list items from lines that look like a headline."""
        bare = self.text.rstrip(_CLOSING_MARKS)
        self.last_mark = "…" if bare.endswith("..") else bare[-1:] or " "
        self.words = self.text.count(" ") + 1
        bullet = _BULLET.match(self.text)
        rest = self.text[bullet.end() :] if bullet else self.text
        speech = bullet is not None and bullet[0][0] in "-–—" and not rest[0].islower() and self.last_mark in ".!?…"
        if bullet and not speech:
            self.kind = "item"
            self.is_body = self.words >= 8 and self.last_mark == "."  # a whole sentence, not "- паспорт."
        elif self.last_mark in ".;":
            self.is_body = self.words >= 2
        elif self.last_mark == ":":
            self.is_body = self.words >= 6  # no label of boilerplate ("Теги:") is longer
        else:
            # Headlines end in ? ! … too, but the longest has 15 words, and one in 750 has two sentences in 10 or more.
            self.is_body = speech or self.words >= 25 or (self.words >= 10 and self.has_sentences)

    @property
    def has_sentences(self) -> bool:
        """Whether it holds two sentences or more."""
        return any(match[1].isupper() for match in _SENTENCES_MEET.finditer(self.text))

    @property
    def continues_sentence(self) -> bool:
        """Whether it is a list item written like a part of a sentence, as headlines under a bullet are not."""
        start = _BULLET.match(self.text)
        return start is not None and (self.text[start.end()].islower() or self.last_mark in ".,;")

    @property
    def is_pair(self) -> bool:
        """Whether it is a row of a box of facts: "Амплуа: либеро"."""
        return _PAIR.match(self.text) is not None

    @property
    def is_headline(self) -> bool:
        """Whether it could be a headline in a list of them."""
        if self.kind != "body" or self.is_body or self.words < 3 or self.text.count(",") > 2 or self.last_mark in ",:":
            return False
        first = self.text.lstrip('«“"')[:1]
        # Only the beginning is searched: the pattern takes quadratic time, and a line may have megabytes.
        return first.isupper() and not self.has_sentences and not _CONTACT.search(self.text[:400])

    @property
    def is_long(self) -> bool:
        """Whether it is too long for an entry of a menu: 3% of their lines are, and half of the content."""
        return self.words >= 9 or len(self.text) >= 70

    @property
    def stems(self) -> set[str]:
        """The first five letters of the words that have four or more: enough to see that a headline names the topic."""
        found = {word[:5] for word in WORD.findall(self.text.casefold()) if len(word) >= 4 and not word[0].isdigit()}
        return found - {"котор"}  # который names no topic

    @property
    def key(self) -> str:
        """The text without case and the marks around it; lines with the same key say the same."""
        return self.text.casefold().strip(_MARKS) or self.text
