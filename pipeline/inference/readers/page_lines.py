"""The lines of a page by its tree, each with what the page itself says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.inference.readers.page_marks import mark_of
from pipeline.text.lines import Line
from pipeline.text.normalize import prepare

_BLOCK_TAGS = (
    "address amp-img article aside blockquote body button caption center dd details div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr iframe label legend li main nav ol option p pre section summary "
    "table tbody tfoot thead tr ul video"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_TEXTLESS_TAGS = "script style noscript template head svg math select textarea iframe object video audio canvas"
_NO_TEXT = frozenset(_TEXTLESS_TAGS.split())
# A line break in these ends no paragraph.
_ONE_LINE = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "figcaption", "button", "a"))
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "li"))
_IMAGES = frozenset(("img", "amp-img", "picture"))
# Links to places in the page, to documents and to people are no headlines.
_NO_PAGE = re.compile(r"^(?:#.|mailto:|tel:)|\.(?:pdf|docx?|xlsx?|pptx?|rtf|zip)(?:[?#]|$)", re.IGNORECASE)


@dataclass(slots=True)
class PageLine:
    """A line, the block it is in, what the elements around it say (outermost first), whether it is nothing but a link.

    `taken`: trafilatura took it; `reason`: why the page would not have it as content; `listed`: the page has it as a
    heading, a list item or a row of a table among the paragraphs.
    """

    text: str
    block: Any
    marks: tuple[tuple[Any, str], ...]
    linked: bool
    under_image: bool
    taken: bool = False
    reason: str = ""
    listed: bool = False

    @property
    def is_prose(self) -> bool:
        """Whether it is a body paragraph by its shape."""
        return Line(1, self.text).is_body

    @property
    def containers(self) -> Iterator[Any]:
        """What holds the line and may hold others: its block, unless that is a paragraph, and all around it."""
        if self.block.tag not in _PARAGRAPHS:
            yield self.block
        yield from self.block.iterancestors()


@dataclass(slots=True)
class _Reader:
    """Collects lines while a tree is walked: what is open at the moment, and the line so far."""

    lines: list[PageLine] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)
    marks: list[tuple[Any, str]] = field(default_factory=list)
    links: list[bool] = field(default_factory=list)
    layouts: list[bool] = field(default_factory=list)
    one_line: int = 0
    parts: list[str] = field(default_factory=list)
    letters: int = 0
    linked: int = 0
    image: bool = False
    found: tuple[Any, tuple[tuple[Any, str], ...]] | None = None

    def start(self, element: Any, tag: str) -> None:
        self.one_line += tag in _ONE_LINE
        if tag == "tr":
            self.layouts.append(_is_layout(element))
        is_cell = tag in ("td", "th")
        if tag in _BLOCKS or (is_cell and self.layouts and self.layouts[-1]):
            self.flush()
            self.blocks.append(element)
        elif tag == "br" and not self.one_line:
            self.flush()
        elif tag == "br" or is_cell:
            self.parts.append(" ")
        if tag == "li":
            self.parts.append("- ")
        self.image = self.image or tag in _IMAGES
        if mark := mark_of(element):
            self.marks.append((element, mark))
        if tag == "a":
            href = element.get("href", "")
            self.links.append(bool(href) and not _NO_PAGE.search(href))

    def end(self, element: Any, tag: str) -> None:
        if self.blocks and self.blocks[-1] is element:
            self.flush()
            self.blocks.pop()
        self.one_line -= tag in _ONE_LINE
        if self.marks and self.marks[-1][0] is element:
            self.marks.pop()
        if tag == "a":
            self.links.pop()
        elif tag == "tr":
            self.layouts.pop()

    def add(self, text: str | None) -> None:
        if not text:
            return
        self.parts.append(text)
        if text.strip():
            self.found = self.found or (self.blocks[-1], tuple(self.marks))
            letters = len(text) - text.count(" ")
            self.letters += letters
            self.linked += letters if self.links and self.links[-1] else 0

    def flush(self) -> None:
        text = prepare("".join(self.parts))
        if self.found and text.strip("- "):
            self.lines.append(PageLine(text, *self.found, self.linked >= 0.9 * self.letters, self.image))
            self.image = False
        self.parts, self.letters, self.linked, self.found = [], 0, 0, None


def page_lines(tree: Any) -> list[PageLine]:
    """The lines of a page, in order: a block, a row of a table, or what a line break ends."""
    from lxml import etree

    reader = _Reader()
    body = tree.find("body")
    walker = etree.iterwalk(tree if body is None else body, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        if event == "start":
            if element.tag in _NO_TEXT:
                walker.skip_subtree()
            reader.start(element, element.tag)
            reader.add(None if element.tag in _NO_TEXT else element.text)
        else:
            if event == "end":
                reader.end(element, element.tag)
            reader.add(element.tail if reader.blocks else None)
    return reader.lines


def _is_layout(row: Any) -> bool:
    """Whether a row of a table has cells of several lines each, as in pages that are laid out by a table."""
    return next(row.iter("br", "p", "div", "table", "ul", "h1", "h2", "h3"), None) is not None
