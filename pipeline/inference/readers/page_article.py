"""Which lines of a page are its article: what trafilatura took, and what it left out among that.

Trafilatura finds where the article is, and loses a twentieth of it: short paragraphs, rows of tables, what follows a
box. So its text only says which part of the page is meant. What the page itself says of a line there, that it is
nothing but a link, or that it stands right under a picture, goes with it as the reason why it is no content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

from pipeline.inference.readers.page_lines import PageLine

_LISTED = frozenset(["h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "dt", "dd"])
_COMMENTS = re.compile(
    r"(?:\d+ )?(?:комментари\w+|обсуждени\w|вопросы читателей|пікір\w*|оқырман пікір\w+|comments?|discussion)\W*\d*\W*",
    re.IGNORECASE,
)
_SHARE = 0.4  # of the article; a mark on an element that holds more of it is about something else
_BESIDE = 6  # lines that are none of the article, one after another: it has ended before them
_LONG = 25  # letters by which a line is known even within another one
_NEAR = 6  # elements between a list item or a table row and the element that holds the paragraphs
_TITLE_OR_ROW = frozenset(("h1", "li", "tr", "dt", "dd"))


def article_lines(lines: Sequence[PageLine], text: str) -> list[PageLine]:
    """The lines of the article of which trafilatura found the `text`: what it took, and what is unmarked among it."""
    _find_taken(lines, text)
    anchors = [index for index, line in enumerate(lines) if line.taken]
    if not anchors:
        return []
    _judge(lines, anchors[0])
    first, last = anchors[0], anchors[-1]
    home = _home(lines[first : last + 1])
    heading = next((at for at in range(first - 1, -1, -1) if lines[at].block.tag == "h1"), first)
    last = _last(lines, heading, last, home)
    for line in lines[heading : last + 1]:
        line.listed = not line.reason and line.block.tag in _LISTED and home in islice(line.containers, _NEAR)
    top = lines[heading:first]
    lead = [
        line for at, line in enumerate(top) if at == 0 or (not line.reason and (line.is_prose or _is_subtitle(top, at)))
    ]
    return lead + [line for line in lines[first : last + 1] if line.taken or not line.reason]


def _is_subtitle(top: Sequence[PageLine], at: int) -> bool:
    """Whether a line is a heading right under the title, which then is no menu."""
    line = top[at]
    line.listed = line.listed or (at == 1 and line.block.tag in ("h2", "h3"))
    return line.listed


def _home(lines: Sequence[PageLine]) -> Any:
    """The element in which most of what was taken stands, by itself or a paragraph deep."""
    letters = Counter[Any]()
    for line in lines:
        if line.taken:
            letters.update(dict.fromkeys(islice(line.containers, 2), len(line.text)))
    return letters.most_common(1)[0][0]


def _last(lines: Sequence[PageLine], first: int, last: int, home: Any) -> int:
    """The last line: behind the `last` one taken, prose in what holds the `first` one too, and any line at home."""
    around = set(lines[first].containers)
    shared = next((each for each in lines[last].containers if each in around), None)
    beside = 0
    for at in range(last + 1, len(lines)):
        line = lines[at]
        beside = beside + 1 if line.reason else 0
        if beside > _BESIDE or shared is None or shared not in line.containers:
            break
        if not line.reason and (line.is_prose or home in islice(line.containers, 3)):
            last = at
    return last


def _find_taken(lines: Sequence[PageLine], text: str) -> None:
    """Finds the lines in trafilatura's text: whole lines of it, or long ones within what no line is equal to."""
    rest = {key for line in text.split("\n") if (key := _key(line))}
    keys = [_key(line.text) for line in lines]
    joined = "\n".join(rest - set(keys))
    for line, key in zip(lines, keys, strict=True):
        line.taken = key in rest or (len(key) >= _LONG and key in joined)
    long = [index for index, key in enumerate(keys) if lines[index].taken and len(key) >= _LONG]
    if long:  # a short one outside of these is a menu's with the same words
        for index, line in enumerate(lines):
            line.taken = line.taken and long[0] <= index <= long[-1]


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _judge(lines: Sequence[PageLine], first: int) -> None:
    """Gives each line its innermost mark that is not about much of the article, or what links and pictures tell."""
    letters = Counter[Any]()
    for line in lines:
        if line.taken:
            letters.update(dict.fromkeys([element for element, _ in line.marks], len(line.text)))
    most = _SHARE * sum(len(line.text) for line in lines if line.taken)
    introduced, discussion = False, None
    for line in lines:
        if line.block.tag != "h1":
            line.reason = next((reason for element, reason in reversed(line.marks) if letters[element] <= most), "")
            if not line.reason and line.linked and not introduced:
                line.reason = "read-also"
            if not line.reason and line.under_image and line.block.tag not in _LISTED and not line.is_prose:
                line.reason = "caption"
            if _COMMENTS.fullmatch(line.text[:60]) and line.block.getparent() not in lines[first].containers:
                discussion = line.block.getparent()
            if discussion is not None and discussion in line.block.iterancestors():
                line.reason = "comment"
        if not line.linked and not (introduced and line.block.tag == "li"):
            introduced = line.text.endswith(":") and not line.reason and line.text.count(" ") >= 3
    for line, below in pairwise(lines):
        if below.linked and below.reason == "read-also" and _heads_links(line):
            line.reason = "read-also"


def _heads_links(line: PageLine) -> bool:
    """Whether a line over links looks like their heading: a few words that are no title."""
    return not line.reason and line.block.tag not in _TITLE_OR_ROW and line.text.count(" ") < 6 and not line.is_prose
