"""The themes: which there are, and how people see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.schemas import SINGLE_LABEL, Labels, Task
from pipeline.core.settings import Settings


class ThemeSettings(Settings, frozen=True):
    """The content of configs/themes.yaml. `names` and `descriptions` are by theme, then by language."""

    task: Task
    labels: list[str]
    names: dict[str, dict[str, str]] = {}
    descriptions: dict[str, dict[str, str]] = {}


def read_labels(themes: ThemeSettings, place: Path) -> Labels:
    """The label set.

    Raises:
        UserError: if there is none, a label stands twice or holds `;` (the separator in tables), or a name or
            description belongs to no label.
    """
    names = themes.labels
    if not names:
        raise UserError(f"{place}: labels: empty; name at least one theme")
    for name in names:
        if names.count(name) > 1 or not name.strip() or ";" in name:
            raise UserError(f"{place}: labels: {name!r} stands twice, is empty or holds ';'; mend the list")
    for section, entries in (("names", themes.names), ("descriptions", themes.descriptions)):
        for name in entries:
            if name not in names:
                raise UserError(f"{place}: {section}.{name}: not one of labels ({', '.join(names)}); add or remove it")
    return Labels(task=themes.task, names=tuple(names))


def check_themes(themes: Sequence[str], asked: Sequence[str], labels: Labels, place: str) -> None:
    """Whether a row's themes may stand.

    Raises:
        UserError: naming `place`, if a theme is not a label, was not asked, or is one of several where one is due.
    """
    for theme in (*asked, *themes):
        if theme not in labels.names:
            known = ", ".join(labels.names)
            raise UserError(f"{place}: theme {theme!r} is not one of {known}; fix the row or the list of themes")
    for theme in themes:
        if theme not in asked:
            raise UserError(f"{place}: theme {theme!r} is given but not asked; add it to `asked` or take it out")
    if labels.task == SINGLE_LABEL and len(themes) != 1:
        raise UserError(f"{place}: {len(themes)} themes, but the task is {SINGLE_LABEL}; give exactly one")


def display_names(themes: ThemeSettings, labels: Labels) -> dict[str, str]:
    """A name a theme as people see it: English where there is one, else the first language, else the label itself."""
    names = {label: themes.names.get(label, {}) for label in labels.names}
    return {label: named.get("en") or next(iter(named.values()), label) for label, named in names.items()}
