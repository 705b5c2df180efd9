"""Cues of content that a page's structure alone does not give: contacts, mourning, capitals, a line's bare words."""

from __future__ import annotations

import re

# Whom to call or to write to: no headline says so.
CONTACT = re.compile(r"\w@\w|\d[\d\s()-]{7,}\d|\b\d{3,4}\b.*(?:хабарлас|қоңырау|звони|обращ|обрат|call)", re.I)
# A number for more information, not the newsroom's
INQUIRY = re.compile(
    r"(?!.*(?:реклам|жарнам|редакц|подпис|жазыл|advert|editor|newsroom))[^:]{0,60}(?:информаци|подробн|справ|вопрос"
    r"|ақпарат|толығырақ|анықтама|мәлімет|сұра|information|details|questions|inquir|enquir)[^:]{0,40}:.*\d[\d\s()-]{5,}\d",
    re.I,
)
MOURNING = re.compile(
    r"соболезнов|скорб|(?:светлая|вечная) память|көңіл айт|қайғы|иманы |жатқан жері|condolence|rest in peace|mourn",
    re.I,
)
# Words with a capital each, as in a menu on one line
CAPITALS = re.compile(r"[А-ЯЁӘҒҚҢӨҰҮҺІ]\w+(?:\s[А-ЯЁӘҒҚҢӨҰҮҺІ]\w+)*")


def strip_numbers(words: list[str]) -> list[str]:
    """The words without the numbers before and after them."""
    start, end = 0, len(words)
    while end > start and words[end - 1].isdigit():
        end -= 1
    while start < end and words[start].isdigit():
        start += 1
    return words[start:end]


def phrase_key(text: str) -> str:
    """The words of a text without case, marks, ё and the numbers around them."""
    return " ".join(strip_numbers(re.findall(r"\w+", text.casefold().replace("ё", "е"))))
