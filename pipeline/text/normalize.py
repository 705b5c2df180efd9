"""The text preparation, the same in training and serving: `lines` cuts an article, `prepare` cleans one paragraph.

`TEXT_VERSION` stands in every model folder. It changes whenever `prepare` gives any text a different result.
"""

from __future__ import annotations

import re
import unicodedata

TEXT_VERSION = 1

# Control characters that are not white space, and format characters without a width: soft hyphen, zero-width space and
# joiners, direction marks, byte order mark, tags. They come with copied web pages and split words that look whole.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def prepare(text: str) -> str:
    """The text of one paragraph in NFC, without invisible characters, every run of white space one space, stripped.

    Letters, digits and punctuation stay. Invisible characters go first: they may stand between a letter and its accent.
    """
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).split())


def lines(text: str) -> list[str]:
    """The lines of an article; line feed, carriage return, form feed, U+0085, U+2028 and U+2029 all end one."""
    return text.splitlines()
