"""Exemplars and the challenge set: paragraphs written to train or to score, checked so that none gives another away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pipeline.core.errors import UserError
from pipeline.core.io import read_numbered_jsonl, sha256
from pipeline.core.schemas import Exemplar, Labels
from pipeline.labelling.themes import check_themes, under_present_names
from pipeline.text.normalize import prepare

# Words in a row that two texts may not share: shorter runs are idioms and names of institutions.
_SHARED_RUN = 6


def read_exemplars(path: Path, labels: Labels, others: Mapping[str, str]) -> list[Exemplar]:
    """Exemplars, or the challenge set, each checked.

    Raises:
        UserError: naming the line, if a theme is not a label or was not asked, or a run of six words stands in another
            line or in one of the `others`, texts by name (gold and challenge rows that such a line would give away).
    """
    seen = {run: name for name, text in others.items() for run in _runs(text)}
    exemplars = []
    for number, found in read_numbered_jsonl(path, Exemplar):
        exemplar, place = under_present_names(found, labels), f"{path}:{number}"
        check_themes(exemplar.themes, exemplar.asked, labels, place)
        runs = _runs(exemplar.text)
        for run in sorted(runs & seen.keys()):
            raise UserError(f"{place}: shares {' '.join(run)!r} with {seen[run]}; write it in other words")
        seen |= dict.fromkeys(runs, place)
        exemplars.append(exemplar)
    return exemplars


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", prepare(text).lower())
    return {tuple(words[start : start + _SHARED_RUN]) for start in range(len(words) - _SHARED_RUN + 1)}


def challenge_part(row: Exemplar) -> Literal["dev", "final"]:
    """`dev`, which may choose between recipes, or `final`, which is read once: half of each author's by a digest."""
    return "final" if int(sha256(f"{row.by}\n{row.text}".encode())[:8], 16) % 2 else "dev"
