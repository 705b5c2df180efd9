"""Text that was decoded as what it is not (mojibake), mended where it is certain: "РњРµРєС‚РµРї" is "Мектеп".

Record by record, since such text comes out of databases and exports, in files that are sound themselves.
"""

from __future__ import annotations

import codecs
import re
from typing import cast

from pipeline.text.scripts import is_plain


def _as_byte(error: UnicodeError) -> tuple[bytes, int]:
    """A character that stands for a byte which its page lacks: cp1251 has no 0x98, the second byte of И."""
    found = cast(UnicodeEncodeError, error)
    if found.object[found.start] >= "\xa0":
        raise found
    return found.object[found.start : found.end].encode("latin-1"), found.end


codecs.register_error("as_byte", _as_byte)
_SECOND_BYTES = "".join(bytes(range(0x80, 0xC0)).decode(page, "ignore") for page in ("cp1251", "cp1252", "latin-1"))
_SECOND = f"[{re.escape(_SECOND_BYTES)}]"
# Four letters of UTF-8 in a row, each read as two; five letters of cp1251 in a row, read as Western European ones
_UTF8 = re.compile(f"(?:[РСТУÐÑÒÓ]{_SECOND}){{4}}")
_CP1251 = re.compile("[À-ÖØ-öø-ÿ]{5}")
_HALF_MENDED = re.compile("[A-Za-z][А-яЁё]|[А-яЁё][A-Za-z]|[а-яё][А-ЯЁ]|[Ђ-ЏђѓєѕїјљњћќўџҐґ]")
# Where white space and control characters were tidied up, Р has lost its second half, and И the whole of it
_TIDIED = ((re.compile("(?<=[РÐ]) "), "\xa0"), (re.compile(f"(?<=[РÐ])(?!{_SECOND})"), "\x98"))


def mended(text: str) -> str:
    """The text as it was written, line by line; a sound line, or one whose mending isn't certain, stays as it is."""
    if is_plain(text) or not (_UTF8.search(text) or _CP1251.search(text)):
        return text
    return "\n".join(map(_mended_line, text.split("\n")))


def _mended_line(line: str) -> str:
    if _UTF8.search(line):
        tidied = line
        for pattern, lost in _TIDIED:
            tidied = pattern.sub(lost, tidied)
        tries = [(given, page, "utf-8") for given in (line, tidied) for page in ("cp1251", "cp1252", "latin-1")]
    elif _CP1251.search(line):
        tries = [(line, page, "cp1251") for page in ("cp1252", "latin-1")]
    else:
        return line
    for given, page, written in tries:
        try:
            found = given.encode(page, "as_byte").decode(written)
        except UnicodeError:
            continue
        if written == "utf-8" or not _HALF_MENDED.search(found):
            return found
    return line
