"""Bytes -> text, and streams -> UTF-8: Unicode in all its forms, the Russian code pages, the two with Kazakh letters.

Kazakh in kz1048 or ptcp154 is valid cp1251, too, where қ reads ќ and ң reads ѓ or ј: text that looks nearly right and
that no model knows. So a guess has to be sure, and whatever can't be told is an error (figures: docs/LOG.md).
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, BinaryIO, cast

from pipeline.core.errors import RecordError, UserError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What a wrong page makes of Kazakh and Russian: letters of neither (cp1251 reads ќ where kz1048 has қ, Ђ where Mac
# Cyrillic has А), a capital behind a small letter (Я for its я), a mark that no word begins with (‚ for its В)
_ODD = re.compile(
    r"(?![А-Яа-яЁёӘәҒғҚқҢңӨөҰұҮүҺһІі])[^\W\d_\x00-\x7f]|(?<=[а-яё])[А-ЯЁ]|(?<![^\W\d_])[‚†‡€‰‹™•‘’“”„][а-яё]"
)
_CONFUSED = ("windows-1251", "kz1048", "ptcp154", "maccyrillic")  # as chardet names them
_LOOKED_FOR = ("kz1048", "ptcp154", "mac-cyrillic")
_MOST_ODD = 0.02  # of the letters beyond ASCII, in text that is taken for one of these
# Of chardet's guess, from 0 to 1. Of texts of 10 letters 0.5% are read then, of 20 14%, of 40 85%, of 80 all; 99.9% of
# what is read is right.
_LEAST_CONFIDENCE = 0.3
# я behind another small letter in Mac Cyrillic, in cp1251 a capital there. Without one Mac Cyrillic is no choice: of
# Russian texts of 40 letters in cp1251 chardet takes 18 of 1,321 for it.
_MAC_YA = re.compile(rb"[\xe0-\xfe]\xdf")
_ASCII = re.compile(rb"[!-~]+")
SNIFF_BYTES = 2**18  # of a table, by which its encoding is told
# A lone surrogate, which UTF-8 can't hold. The standard "surrogateescape" raises for half a character of UTF-16 or -32.
codecs.register_error("undecodable", lambda error: ("\udc80", cast(UnicodeDecodeError, error).end))


def decode(data: bytes, place: str) -> str:
    """The text of a file, a byte order mark removed.

    Raises:
        UserError: naming `place`, if the bytes are no text, damaged UTF-8, or in an encoding that can't be told.
    """
    try:
        encoding = _encoding_of(data)
        text = data.decode(encoding)
    except RecordError as error:
        raise UserError(f"{place}: {error}") from error
    except UnicodeDecodeError as error:
        flaw = f": byte {error.start + 1} is no {encoding}, though the file looks like it; save it as UTF-8"
        if encoding == "utf-8":
            line = data.count(b"\n", 0, error.start) + 1
            flaw = f":{line}: byte 0x{data[error.start]:02x} is not UTF-8, though the rest is; mend it there"
        raise UserError(place + flaw) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{place}:{line}: a NUL byte; this is no text file")
    return text


def _encoding_of(data: bytes) -> str:
    """The encoding of a text or of its beginning, as Python names it; UTF-8 also where a few bytes of it are broken."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding
    try:
        data.decode()
    except UnicodeDecodeError:
        return "utf-8" if _damaged(data) else _guessed(data)
    return _wide(data) if b"\0" in data else "utf-8"


def _wide(data: bytes) -> str:
    """UTF-16 without a mark, if the NUL bytes come from that: a text's high bytes are few, its low ones many."""
    high, encoding = min((len(set(data[start::2])), name) for start, name in ((1, "utf-16-le"), (0, "utf-16-be")))
    return encoding if len(data) >= 8 * high and len(data) % 2 == 0 else "utf-8"


def _damaged(data: bytes) -> bool:
    """Whether the bytes are UTF-8 but for a few: two letters of a code page hardly ever make a valid sequence."""
    text = data.decode(errors="replace")
    beyond_ascii = sum(letter > "\x7f" for letter in text)
    return text.count("\ufffd") * 2 < beyond_ascii


def _guessed(data: bytes) -> str:
    import chardet

    guess = chardet.detect(data, exclude_encodings=None if _MAC_YA.search(data) else ("maccyrillic",))
    encoding, sure = guess["encoding"], guess["confidence"] >= _LEAST_CONFIDENCE
    if encoding is None:
        raise RecordError(f"{guess['mime_type'] or 'bytes'}, no text; name a text file")
    if encoding.lower() in _CONFUSED and _ODD.search(data.decode(encoding, errors="ignore")):
        encoding, sure = _least_odd(data, encoding)
    if not sure:
        raise RecordError(f"neither UTF-8 nor surely anything else (at best {encoding}); save it as UTF-8")
    return encoding


def _least_odd(data: bytes, guess: str) -> tuple[str, bool]:
    """The page that makes the fewest oddities of Russian or Kazakh; whether they are few, and no other has as few."""
    texts: dict[str, str] = {}
    for page in (*_LOOKED_FOR, guess):
        with suppress(UnicodeDecodeError):
            texts.setdefault(codecs.lookup(page).name, data.decode(page))
    odd = {page: len(_ODD.findall(text)) for page, text in texts.items()}
    best, *others = sorted(odd, key=lambda page: odd[page])
    letters = sum(letter > "\x7f" and letter.isalpha() for letter in texts[best])
    is_only = all(odd[best] < odd[other] or texts[best] == texts[other] for other in others)
    return best, is_only and odd[best] <= _MOST_ODD * letters


def utf8_stream(stream: BinaryIO, encoding: str | None) -> BinaryIO:
    """The stream as UTF-8 without a byte order mark, so that tables are read a piece at a time.

    Bytes that are none in its encoding become what no reader takes for text.

    Raises:
        RecordError: if its encoding isn't given and can't be told.
    """
    head = stream.read(SNIFF_BYTES)
    name = codecs.lookup(encoding or encoding_by_letters(head)).name
    is_utf8 = name in ("utf-8", "utf-8-sig")
    head = head.removeprefix(codecs.BOM_UTF8) if is_utf8 else head
    pieces: Iterator[bytes] = chain([head], iter(lambda: stream.read(SNIFF_BYTES), b""))
    if not is_utf8:
        decoded = codecs.iterdecode(pieces, name, "undecodable")
        pieces = (text.encode(errors="surrogatepass") for text in decoded)
    return io.BufferedReader(_Pieces(pieces), SNIFF_BYTES)


class _Pieces(io.RawIOBase):
    """An iterator of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = filter(None, pieces), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or next(self._pieces, b"")
        data, self._rest = piece[: len(buffer)], piece[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def encoding_by_letters(head: bytes) -> str:
    """The encoding of a table or page by its beginning, cut where no character is in two.

    It is judged by what is beyond ASCII: names of fields and tags say nothing, and halve the guesser's confidence.

    Raises:
        RecordError: if it can't be told.
    """
    if b"\0" not in head:
        head = head[: head.rfind(b"\n") + 1] or head if len(head) >= SNIFF_BYTES else head
        head = _ASCII.sub(b" ", head)
    return _encoding_of(head)


def without_place(error: Exception) -> RecordError:
    """The error without the place, which the entry names."""
    return RecordError(str(error).removeprefix(":").strip())
