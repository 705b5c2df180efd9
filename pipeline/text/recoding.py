"""Streams in any encoding -> streams in UTF-8, so that tables are read a piece at a time."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

from pipeline.core.errors import RecordError, UserError
from pipeline.text.encodings import encoding_of

SNIFF_BYTES = 2**18
"""Bytes by which the encoding of a table is told."""
_ASCII = re.compile(rb"[!-~]+")


def utf8_stream(stream: BinaryIO, encoding: str | None) -> BinaryIO:
    """The stream as UTF-8 without a byte order mark.

    Raises:
        RecordError: if its encoding isn't given and can't be told.
    """
    head = stream.read(SNIFF_BYTES)
    name = codecs.lookup(encoding or encoding_by_letters(head)).name
    if name in ("utf-8", "utf-8-sig"):
        head, name = head.removeprefix(codecs.BOM_UTF8), "utf-8"
    whole = io.BufferedReader(_Chained(head, stream), SNIFF_BYTES)
    return whole if name == "utf-8" else io.BufferedReader(_Recoded(whole, name), SNIFF_BYTES)


def encoding_by_letters(head: bytes) -> str:
    """The encoding of a table or page by its beginning, cut where no character is in two.

    It is judged by what is beyond ASCII: names of fields and tags say nothing, and halve the guesser's confidence.

    Raises:
        RecordError: if it can't be told.
    """
    if b"\0" not in head:
        head = head[: head.rfind(b"\n") + 1] or head if len(head) >= SNIFF_BYTES else head
        head = _ASCII.sub(b" ", head)
    try:
        return encoding_of(head, "")
    except UserError as error:
        raise without_place(error) from error


class _Chained(io.RawIOBase):
    """A stream with what was read from it put back."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = io.BytesIO(head), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """Another encoding as UTF-8; bytes that are none in it become what no reader takes for text."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._text.read(SNIFF_BYTES).encode(errors="surrogatepass")
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def without_place(error: Exception) -> RecordError:
    """The error without the place, which the entry names."""
    return RecordError(str(error).removeprefix(":").strip())
