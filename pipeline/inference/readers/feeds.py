"""RSS and Atom, as outlets and WordPress's exports have them -> a row an item."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from pipeline.core.errors import RecordError
from pipeline.inference.readers.kinds import HEAD_BYTES
from pipeline.inference.readers.pages import declared_encoding
from pipeline.inference.readers.schema import Fields, Row
from pipeline.inference.readers.sources import Source
from pipeline.inference.readers.xml_mending import MendedXml
from pipeline.text.encodings import utf8_stream

_ITEMS = ("item", "entry")
_NAMES = {
    "guid": "id",
    "encoded": "text",
    "content": "text",
    "full-text": "text",
    "description": "summary",
    "pubDate": "published",
    "date": "published",
    "creator": "author",
    "category": "categories",
}
"""What both kinds call differently; other elements keep their own names."""
_PICTURES = "{http://search.yahoo.com/mrss/}"


def feed_rows(stream: BinaryIO, source: Source, fields: Fields, encoding: str | None) -> Iterator[Row]:
    """The items, each with `text` (the full one or the summary), `title`, `id` (guid or link) and what else it has."""
    from lxml import etree

    name = encoding or declared_encoding(cast(io.BufferedReader, stream).peek(HEAD_BYTES))
    try:
        utf8 = utf8_stream(stream, name or None)
    except LookupError:  # declared, but there is none of that name
        utf8 = utf8_stream(stream, None)
    number = 0
    try:
        # Entities stay as they are, so that none can be a bomb.
        mended = MendedXml(utf8)
        parser = etree.iterparse(mended, events=("end",), resolve_entities=False, encoding="utf-8")
        for _, element in parser:
            if _name(element) in _ITEMS:
                number, mended.unparsed = number + 1, 0
                yield Row(number, f"item {number}", _values(element, fields))
                element.clear()
                while element.getprevious() is not None:  # or items that are done would stay in the tree
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise RecordError(f"after item {number}: {error.msg}") from error


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _values(item: Any, fields: Fields) -> dict[str, Any]:
    """An item's elements by name, the first of each kind, all categories."""
    values: dict[str, Any] = {}
    for element in item:
        name = _NAMES.get(_name(element), _name(element))
        value = element.get("href") or element.get("term") or _content(element, name)
        if not name or not value or element.tag.startswith(_PICTURES):
            continue
        if name == "categories":
            values[name] = [*values.get(name, []), value]
        elif name != "link" or element.get("rel", "alternate") == "alternate":
            values.setdefault(name, value)
    values.setdefault("id", values.get("link"))
    if "text" not in values and fields.text == "text":
        values["text"] = values.pop("summary", None)
    return values


def _content(element: Any, name: str) -> str:
    """An element's text; where elements are in it, their markup in a text, or nothing in other columns."""
    from lxml import etree

    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and name in ("text", "summary", "title"):
            for inner in child.iter("{*}*"):
                inner.tag = _name(inner)
            parts.append(etree.tostring(child, encoding="unicode", with_tail=False))
        elif isinstance(child.tag, str) and _name(child) == "name":
            parts.append(child.text or "")
        parts.append(child.tail or "")
    return "".join(parts).strip()
