"""Boxes of facts, and lists without marks whose rows would by themselves be boilerplate: names, contacts, towns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipeline.text.lines import Line

# A row of a box of facts: "Амплуа: либеро"
_PAIR = re.compile(r"(?:[\w«»-]+\s){0,2}[\w«»-]+\s?:\s\S")
# A row of a table: "Абай ауданы 12 450", "Бишкуль – 34%"
_ROW = re.compile(r"[^\d:]{2,40}\s[–—-]?\s?\d[\d\s.,]*(?:%|\s?[^\W\d_]{1,6}\.?)?")


def keep_box(run: list[Line], introduced: bool = False) -> bool:
    """Keeps the doubtful lines of a box of facts, and of a list of names or contacts that a colon introduces."""
    doubtful = [line for line in run if line.doubtful]
    is_list = introduced and doubtful == run and len(run) > 1
    if not is_list and not is_box([line for line in run if not line.reason]):
        return False
    for line in doubtful:
        line.reason, line.heads_list = "", False
    return True


def keep_table(run: Sequence[Line]) -> None:
    """Keeps the rows of a table of figures, whose names may be those of sections: the towns of a region."""
    rows = [line for line in run if line.reason in ("", "menu") and _ROW.fullmatch(line.text[:80])]
    if len(rows) >= 2 and 2 * len(rows) >= len(run):
        for line in rows:
            line.reason = ""


def is_box(run: Sequence[Line]) -> bool:
    """Whether these are rows of a box of facts: two, and a third of all, have a key and a value."""
    pairs = sum(_PAIR.match(line.text) is not None for line in run)
    return pairs >= 2 and 3 * pairs >= len(run)


def stems(part: Iterable[Line]) -> set[str]:
    """The stems of all these lines."""
    return {stem for line in part for stem in line.stems}
