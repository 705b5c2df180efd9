"""Bytes -> text: Unicode in all its forms, the Russian code pages, and the two that hold Kazakh letters.

Kazakh in kz1048 or ptcp154 is valid cp1251, too, where қ reads ќ and ң reads ѓ or ј: text that looks nearly right and
that no model knows. So a guess has to be sure, and whatever can't be told is an error (figures: docs/LOG.md).
"""

from __future__ import annotations

import codecs

from pipeline.core.errors import UserError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What cp1251 reads where kz1048 and ptcp154 have letters; no Russian word holds one
LOOK_ALIKES = frozenset("ЂЃѓЉЊЌЋЏђљњќћџЎўЈҐЄЇјЅѕїґє")
KAZAKH_PAGES = ("kz1048", "ptcp154")
LETTERS = frozenset("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯӘҒҚҢӨҰҮҺІ")
# With it 0.5% of texts of 10 letters are read, 14% of 20, 85% of 40 and all of 80; of what is read, 99.9% is right.
SURE = 0.3


def decode(data: bytes, place: str) -> str:
    """The text of a file, a byte order mark removed.

    Raises:
        UserError: naming `place`, if the bytes are no text, damaged UTF-8, or in an encoding that can't be told.
    """
    text = _strictly(data, encoding_of(data, place), place)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{place}:{line}: a NUL byte; this is no text file")
    return text


def encoding_of(data: bytes, place: str) -> str:
    """The encoding of a text or of its beginning, as Python names it; UTF-8 also where a few bytes of it are broken.

    Raises:
        UserError: naming `place`, if the bytes are no text, or it can't be told.
    """
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding
    try:
        data.decode()
    except UnicodeDecodeError:
        return "utf-8" if _damaged(data) else _guessed(data, place)
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


def _guessed(data: bytes, place: str) -> str:
    import chardet

    guess = chardet.detect(data, exclude_encodings=("maccyrillic",))
    encoding, sure = guess["encoding"], guess["confidence"] >= SURE
    if encoding is None:
        raise UserError(f"{place}: {guess['mime_type'] or 'bytes'}, no text; name a text file")
    if guess["language"] == "ru" and LOOK_ALIKES & set(data.decode(encoding, errors="ignore")):
        encoding, sure = _kazakh(data)
    if not sure:
        raise UserError(f"{place}: neither UTF-8 nor surely anything else (at best {encoding}); save it as UTF-8")
    return encoding


def _kazakh(data: bytes) -> tuple[str, bool]:
    """The page that reads Russian with Kazakh words in it as Kazakh; and whether only one of the two does."""
    foreign = {page: sum(map(_foreign, data.decode(page))) for page in KAZAKH_PAGES}  # what is cp1251 is both of them
    best, other = sorted(KAZAKH_PAGES, key=lambda page: foreign[page])
    return best, foreign[best] < foreign[other] or data.decode(best) == data.decode(other)


def _foreign(letter: str) -> bool:
    """Whether neither Russian nor Kazakh has it."""
    return letter > "\x7f" and letter.isalpha() and letter.upper() not in LETTERS


def _strictly(data: bytes, encoding: str, place: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            line = data.count(b"\n", 0, error.start) + 1
            found = f"{place}:{line}: byte 0x{data[error.start]:02x} is not UTF-8, though the rest is; mend it there"
        else:
            found = f"{place}: byte {error.start + 1} is no {encoding}, though the file looks like it; save it as UTF-8"
        raise UserError(found) from error
