"""The text preparation, the same in training and serving: `lines` cuts an article, `prepare` cleans one paragraph.

What a model reads goes through `for_scoring` as well: capitals, look-alikes and Kazakh in its other scripts become what
models have learnt from. `TEXT_VERSION` stands in every model folder. It changes whenever `prepare` gives any text a
different result, or `for_scoring` a text that our models have learnt from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from pipeline.text.language import kazakh_script
from pipeline.text.letters import has_small_word, in_small_letters, is_in_capitals, without_look_alikes
from pipeline.text.scripts import is_plain
from pipeline.text.transliteration import arabic_to_cyrillic, latin_to_cyrillic

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


def for_scoring(text: str, languages: Collection[str]) -> str:
    """A prepared paragraph as a model of these languages reads it; Cyrillic in small letters is left as it is.

    Kazakh in Latin or Arabic letters becomes Cyrillic if the model knows Kazakh, text in capitals gets small letters,
    and Latin letters within Cyrillic words become the Cyrillic ones that they look like.
    """
    if is_plain(text) and has_small_word(text):
        return text
    script, capitals = kazakh_script(text) if "kk" in languages else "", is_in_capitals(text)
    if script == "Arab":
        return arabic_to_cyrillic(text)
    text = latin_to_cyrillic(text) if script == "Latn" else without_look_alikes(text)
    return in_small_letters(text) if capitals else text


def lines(text: str) -> list[str]:
    """The lines of an article; line feed, carriage return, form feed, U+0085, U+2028 and U+2029 all end one."""
    return text.splitlines()
