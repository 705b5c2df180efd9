"""Which letters a text is written in: Cyrillic, Latin or Arabic ones, a neighbour's, or none that can be read."""

from __future__ import annotations

import re
from typing import Literal

Script = Literal["Cyrl", "Latn", "Arab", ""]
KAZAKH = "әғқңөұүһі"
CYRILLIC = f"А-Яа-яЁё{KAZAKH}{KAZAKH.upper()}"
"""Of Kazakh and Russian, as the inside of a regular expression's class; so are the others."""
LATIN = "A-Za-zªºÀ-ÖØ-öø-ʯ"
ARABIC = "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefe"
_OTHER_CYRILLIC = "\u0460-\u052f"  # of the neighbours; not that of cp1251, which fills text in a wrong encoding
_MARKS = (
    "\x00-@[-`{-©«-´¶-¹»-¿×÷\u2000-\u2070\u2080-\u20ff\u2116\u2122\u2190-\u2bff\u3000-\u3004\ufe00-\ufe0f\ufffd"
    "\U0001f000-\U0001faff"
)
_PLAIN = re.compile(f"[{CYRILLIC}{_MARKS}]*")
_NEIGHBOURS = re.compile(f"(?![{CYRILLIC}])[\u0400-\u052f]")
_FOREIGN = re.compile(f"[^\\W\\d_{CYRILLIC}{LATIN}{ARABIC}{_OTHER_CYRILLIC}]")
_MOST_FOREIGN = 0.15  # of the letters: Serbian has 10%, Russian that was read in a wrong page a third
# A letter that was lost on the way: a question mark before a letter, or a word of question marks
_LOST = re.compile(r"\?+(?=[^\W\d_])|(?<![^\W\d_])\?{4,}|\ufffd")
_MOST_LOST = 0.05  # of the letters; a sixth of Kazakh's own become question marks in cp1251
_SCRIPTS: tuple[tuple[Script, re.Pattern[str]], ...] = (
    ("Cyrl", re.compile("[\u0400-\u052f]")),
    ("Latn", re.compile(f"[{LATIN}]")),
    ("Arab", re.compile(f"[{ARABIC}]")),
)


def is_plain(text: str) -> bool:
    """Whether its letters are all Cyrillic ones of Kazakh or Russian: the common case, found in half a microsecond."""
    return _PLAIN.fullmatch(text) is not None


def main_script(text: str) -> Script:
    """The script of most of its letters; "" if that is none of the three, or if there is no letter."""
    counts = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS}
    best = max(counts, key=lambda script: counts[script])
    return best if 2 * counts[best] > sum(map(str.isalpha, text)) else ""


def has_neighbours_letters(text: str) -> bool:
    """Whether it has a Cyrillic letter that neither Kazakh nor Russian has, as most lines of Ukrainian or Tajik do."""
    return _NEIGHBOURS.search(text) is not None


def is_unreadable(text: str) -> bool:
    """Whether too many of its letters are lost, or of no alphabet that Kazakh, Russian or a neighbour is written in."""
    if text.count("?") + text.count("\ufffd") > 2:
        lost = sum(map(len, _LOST.findall(text)))
        if lost > 2 and lost >= _MOST_LOST * (lost + sum(map(str.isalpha, text))):
            return True
    if is_plain(text):
        return False
    foreign = len(_FOREIGN.findall(text))
    return foreign > 0 and foreign >= _MOST_FOREIGN * sum(map(str.isalpha, text))
