"""HTML in a field -> text: which records hold it, and a line for each block of it.

Editors and dumps of WordPress keep fragments of pages in the field of the text. All of a fragment is the article, so it
is not searched for main content, as a page is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import InputRecord
from pipeline.inference.readers.sources import DAMAGED

LOOKED_AT = 20
"""Records by which it is told whether a source holds HTML."""
LOOKED_AT_SIZE = 2**20
"""Letters in them, at most: they are held until it is told."""
TAGS_LEFT = "texts with tags among plain ones, tags left in; --markup html takes them out"

_TAG = re.compile(
    r"</(?:p|div|span|a|b|strong|i|em|u|h[1-6]|ul|ol|li|table|tr|td|figure|blockquote|section|article|font|center)>"
    r"|<br\s*/?>|<p[\s>]|<img\s|&(?:nbsp|[lr]aquo|[mn]dash|hellip|quot|amp|lt|gt|#\d{2,5}|#x[0-9a-f]{2,4});",
    re.IGNORECASE,
)
_BLOCK_TAGS = (
    "address article aside blockquote br center dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hr iframe li main nav ol p pre section summary table tbody thead tr ul video"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_NO_TEXT = frozenset(("script", "style", "noscript", "template", "head", "svg", "math", "select", "textarea", "button"))
_PARAGRAPHS = re.compile(r"<(?:p|br|div)\b", re.IGNORECASE)


def with_markup(
    records: Iterator[InputRecord],
    forced: Literal["html", "text"] | None,
    notes: Counter[str],
    told: bool | None = None,
) -> Iterator[InputRecord]:
    """The records of a source, marked as fragments of HTML if that is `forced` or one of the first looks so.

    Of a part of a source it is `told`.
    """
    first, damage = ([], None) if forced or told is not None else first_records(records)
    is_html = forced == "html" or told or hold_html(first)
    for record in first:
        yield _marked(record) if is_html else record
    if damage:
        raise damage
    for record in records:
        if is_html:
            yield _marked(record)
        else:
            if forced is None and "</" in record.text and not record.markup and _TAG.search(record.text):
                notes[TAGS_LEFT] += 1
            yield record


def first_records(records: Iterator[InputRecord]) -> tuple[list[InputRecord], Exception | None]:
    """Those by which it is told whether a source holds HTML, and what kept from reading more of them."""
    first: list[InputRecord] = []
    size = 0
    try:
        while len(first) < LOOKED_AT and size < LOOKED_AT_SIZE:
            first.append(next(records))
            size += len(first[-1].text)
    except StopIteration:
        pass
    except (*DAMAGED, RecordError) as error:  # comes behind what was read before it
        return first, error
    return first, None


def hold_html(first: Iterable[InputRecord]) -> bool:
    """Whether one of the first records looks like HTML."""
    return any(not record.markup and _TAG.search(record.text) for record in first)


def _marked(record: InputRecord) -> InputRecord:
    return record if record.markup or record.reason else msgspec.structs.replace(record, markup="fragment")


def text_of_fragment(markup: str) -> str:
    """The text, a line a block. What has no tag or entity in it is left as it is.

    Raises:
        UserError: if it is nested deeper than the parser goes.
    """
    if "<" not in markup and "&" not in markup:
        return markup
    from pipeline.inference.readers.pages import parsed_page

    # Without blocks of its own a line break says where a paragraph ends, in WordPress a blank line does so anyway.
    markup = re.sub(r"\n\s*\n" if _PARAGRAPHS.search(markup) else r"\n", "<br>", markup)
    parts: list[str] = []
    for event, element in _walk(parsed_page(f"<html><body><div>{markup}</div></body></html>")):
        name = element.tag if isinstance(element.tag, str) else ""
        if name in _BLOCKS:
            parts.append("\n")
        elif name in ("td", "th"):
            parts.append(" ")
        if event == "start" and name not in _NO_TEXT:
            if name == "li":
                parts.append("- ")
            parts.append(_spaced(element.text) if name else "")
        elif event == "end":
            parts.append(_spaced(element.tail))
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line and line != "-")


def _walk(tree: Any) -> Iterator[tuple[str, Any]]:
    """Starts and ends of elements and comments, but for what is inside of those without text."""
    from lxml import etree

    walker = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        if event == "start" and element.tag in _NO_TEXT:
            walker.skip_subtree()
        yield "end" if event in ("comment", "pi") else event, element


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")
