"""The themes: which there are, and how people see them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.schemas import SINGLE_LABEL, Annotation, Exemplar, Labels, Task
from pipeline.core.settings import Settings

AskedRow = TypeVar("AskedRow", Annotation, Exemplar)


class ThemeSettings(Settings, frozen=True):
    """The content of configs/themes.yaml.

    `names` and `descriptions` are by theme, then by language; `was` has a theme's earlier names.
    """

    task: Task
    labels: list[str]
    retired: list[str] = []
    was: dict[str, list[str]] = {}
    names: dict[str, dict[str, str]] = {}
    descriptions: dict[str, dict[str, str]] = {}


def read_labels(themes: ThemeSettings, place: Path) -> Labels:
    """The label set.

    Raises:
        UserError: if there is none, a label stands twice or holds `;` (the separator in tables), one is retired or an
            earlier name, or a name or description belongs to no label.
    """
    names = themes.labels
    if not names:
        raise UserError(f"{place}: labels: empty; name at least one theme")
    for name in names:
        if names.count(name) > 1 or not name.strip() or ";" in name:
            raise UserError(f"{place}: labels: {name!r} stands twice, is empty or holds ';'; mend the list")
    renamed = [(old, name) for name, earlier in themes.was.items() for old in earlier]
    gone = [*themes.retired, *(old for old, _ in renamed)]
    for old in gone:
        if old in names or gone.count(old) > 1:
            raise UserError(f"{place}: retired, was: {old!r} is one of labels, too, or stands twice; keep one")
    for name in themes.was:
        if name not in names:
            raise UserError(f"{place}: was.{name}: not one of labels ({', '.join(names)}); write {{new: [old]}}")
    for section, entries in (("names", themes.names), ("descriptions", themes.descriptions)):
        for name in entries:
            if name not in (*names, *themes.retired):
                raise UserError(f"{place}: {section}.{name}: not one of labels ({', '.join(names)}); add or remove it")
    return Labels(task=themes.task, names=tuple(names), retired=tuple(themes.retired), renamed=tuple(renamed))


def under_present_names(row: AskedRow, labels: Labels) -> AskedRow:
    """A row as if it had been asked today: a renamed theme has its new name, a retired one was not asked.

    In a single-label task a row, or a reading, whose one theme is retired is left out: nothing was asked.
    """
    if not labels.retired and not labels.renamed:
        return row
    present, themes = labels.present, row.themes
    return msgspec.structs.replace(
        row,
        asked=present(row.asked) if themes is None or says_something(themes, labels) else (),
        themes=None if themes is None else present(themes),
        readings={reader: present(said) for reader, said in row.readings.items() if says_something(said, labels)},
    )


def says_something(themes: Sequence[str], labels: Labels) -> bool:
    """Whether anything is left without retired themes: in a multi-label task at least that no other is there."""
    return labels.task != SINGLE_LABEL or not set(themes) & set(labels.retired)


def check_themes(themes: Sequence[str], asked: Sequence[str], labels: Labels, place: str) -> None:
    """Whether a row's themes may stand.

    Raises:
        UserError: naming `place`, if a theme is not a label, was not asked, or is one of several where one is due.
    """
    for theme in (*asked, *themes):
        if theme not in labels.names:
            known = ", ".join(labels.names)
            nearest = "".join(f"did you mean {name!r}? " for name in get_close_matches(theme, labels.names, n=1))
            way = f"{nearest}fix the row, or name it under labels, retired or was in the themes' file"
            raise UserError(f"{place}: theme {theme!r} is not one of {known}; {way}")
    for theme in themes:
        if theme not in asked:
            raise UserError(f"{place}: theme {theme!r} is given but not asked; add it to `asked` or take it out")
    if labels.task == SINGLE_LABEL and asked and len(themes) != 1:
        raise UserError(f"{place}: {len(themes)} themes, but the task is {SINGLE_LABEL}; give exactly one")


def display_names(themes: ThemeSettings, labels: Labels) -> dict[str, str]:
    """A name a theme as people see it: English where there is one, else the first language, else the label itself."""
    names = {label: themes.names.get(label, {}) for label in labels.names}
    return {label: named.get("en") or next(iter(named.values()), label) for label, named in names.items()}
