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
from pipeline.text.scripts import KAZAKH, is_plain
from pipeline.text.transliteration import arabic_to_cyrillic, latin_to_cyrillic

TEXT_VERSION = 1

# Control characters that are not white space, and format characters without a width: soft hyphen, zero-width space and
# joiners, direction marks, byte order mark, tags. They come with copied web pages and split words that look whole.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


# A dateline with its place in capitals ("АСТАНА, 5 мамыр. ҚазАқпарат – "), and links behind the last word: TF-IDF gives
# 8% and 6% of real paragraphs other themes for them.
_CAPITAL = f"[A-ZА-ЯЁ{KAZAKH.upper()}]"
_DATELINE = re.compile(
    rf"(?:{_CAPITAL}{{3,}}[ -]?){{1,3}}[.,]? \d{{1,2}} [^\W\d_]{{3,10}}(?: \d{{4}}(?: [^\W\d_]{{1,4}})?)?"
    rf"(?:[.:]| ?[–—-])+(?: {_CAPITAL}\w{{2,20}} ?[–—-])? (?=[«“\"]?{_CAPITAL})"
)
_LINKS_BEHIND = re.compile(r"(?:\s+(?:https?://|www\.)\S+)+$")


def prepare(text: str) -> str:
    """The text of one paragraph in NFC, without invisible characters, every run of white space one space, stripped.

    Letters, digits and punctuation stay. Invisible characters go first: they may stand between a letter and its accent.
    """
    return " ".join(unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).split())


def for_scoring(text: str, languages: Collection[str]) -> str:
    """A prepared paragraph as a model of these languages reads it; Cyrillic in small letters is left as it is.

    Kazakh in Latin or Arabic letters becomes Cyrillic if the model knows Kazakh, text in capitals gets small letters,
    and Latin letters within Cyrillic words become the Cyrillic ones that they look like. A dateline before it and links
    behind it go.
    """
    if text[1:3].isupper():
        text = text[found.end() :] if (found := _DATELINE.match(text)) else text
    if is_plain(text) and has_small_word(text):
        return text
    text = _LINKS_BEHIND.sub("", text) if "://" in text or "www." in text else text
    script, capitals = kazakh_script(text) if "kk" in languages else "", is_in_capitals(text)
    if script == "Arab":
        return arabic_to_cyrillic(text)
    text = latin_to_cyrillic(text) if script == "Latn" else without_look_alikes(text)
    return in_small_letters(text) if capitals else text


def lines(text: str) -> list[str]:
    """The lines of an article; line feed, carriage return, form feed, U+0085, U+2028 and U+2029 all end one."""
    return text.splitlines()
