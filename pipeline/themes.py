"""The themes: which there are, and how people see them."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UserError
from pipeline.records import Labels, Task
from pipeline.settings import Settings


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


def display_names(themes: ThemeSettings, labels: Labels) -> dict[str, str]:
    """A name a theme as people see it: English where there is one, else the first language, else the label itself."""
    shown = {}
    for name in labels.names:
        names = themes.names.get(name, {})
        shown[name] = names.get("en") or next(iter(names.values()), name)
    return shown
