"""What feeds get wrong in XML, mended on the way to the parser: bare &, HTML's entities, control characters.

Left to libxml2's own mending they cost the text around them: behind a bare & it drops every &lt; of an item.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import BinaryIO

from pipeline.core.errors import RecordError
from pipeline.inference.readers.schema import MAX_RECORD

CHUNK = 2**16
"""Bytes read at once."""
MAX_ITEM = 4 * MAX_RECORD
"""Bytes that the parser may hold: an item, or what stands before the first."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ENTITY = re.compile(rb"&(?:(#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});)?")
_OPEN, _CLOSE = b"<![CDATA[", b"]]>"
_OF_XML = (b"amp", b"lt", b"gt", b"quot", b"apos")
# What begins here may end in the bytes that are still to come.
_UNFINISHED = re.compile(rb"(?:[&<]|\]+)[^&<\]]*$")


class MendedXml:
    """A stream of XML in UTF-8, mended outside of CDATA sections, which may hold anything.

    `unparsed` are the bytes since whoever reads has set it to 0, which must not be more than `MAX_ITEM`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._held, self._in_cdata = stream, b"", False
        self.unparsed = 0

    def read(self, size: int = -1) -> bytes:
        """Some more bytes, none at the end."""
        while piece := self._stream.read(CHUNK):
            self.unparsed += len(piece)
            if self.unparsed > MAX_ITEM:
                raise RecordError(f"more than {MAX_ITEM >> 20} MiB without an item")
            data = self._held + _CONTROL.sub(b"", piece)
            open_at = _UNFINISHED.search(data, max(0, len(data) - 2 * len(_OPEN) - 32))
            data, self._held = (data[: open_at.start()], data[open_at.start() :]) if open_at else (data, b"")
            if data:
                return self._mended(data)
        data, self._held = self._held, b""
        return self._mended(data)

    def _mended(self, data: bytes) -> bytes:
        parts = []
        while data:
            inside, mark = self._in_cdata, _CLOSE if self._in_cdata else _OPEN
            before, found, data = data.partition(mark)
            parts += [before if inside else _ENTITY.sub(_known, before), found]
            self._in_cdata = inside != bool(found)
        return b"".join(parts)


def _known(match: re.Match[bytes]) -> bytes:
    """The entity if XML knows it, HTML's as numbers, else the & as what it is."""
    name = match[1]
    if name and (name.startswith(b"#") or name in _OF_XML):
        return match[0]
    letters = html5.get(f"{name.decode()};") if name else None
    return "".join(f"&#{ord(letter)};" for letter in letters).encode() if letters else b"&amp;" + match[0][1:]
