"""The columns of rows: ours, those by theme and those that inputs carry, and the kind of value in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.core.schemas import ResultRow

PARAGRAPH_COLUMNS = ResultRow.__struct_fields__
ARTICLE_COLUMNS = (
    "id",
    "source",
    "language",
    "paragraphs",
    "rejected",
    "themes",
    "shares",
    "evidence",
    "status",
    "model",
)
COLUMN_KINDS = {
    **dict.fromkeys(("position", "paragraphs", "rejected"), "int"),
    **dict.fromkeys(("themes", "undecided"), "list"),
    "why": "json",
}
"""Of our columns that are no text."""
THEME_COLUMNS = {"scores": "score", "shares": "share", "evidence": "evidence"}
"""Ours with a value for each theme, and what their columns in a flat table begin with."""


def column_kind(value: Any) -> str:
    """What a carried value needs as a column: bool, int, float, text, json, or "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"  # Parquet's integers have 64 bits
    return {float: "float", str: "text"}.get(type(value), "json")


def merge_kinds(one: str, other: str) -> str:
    """The kind of a column that holds both."""
    if one == other or not other:
        return one
    if not one:
        return other
    return "float" if {one, other} == {"int", "float"} else "json"


def as_text(value: Any) -> str:
    """A value as JSON, a text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class TableColumns:
    """The columns of a flat table: ours, those by theme spread out, then the carried ones as they appeared.

    `kinds` are int, float, bool, text, list, or json for a carried column of mixed or nested values.
    """

    def __init__(self, ours: Sequence[str], themes: Sequence[str], carried: Mapping[str, str]) -> None:
        self.kinds: dict[str, str] = {}
        for column in ours:
            if column in THEME_COLUMNS:
                kind = "text" if column == "evidence" else "float"
                self.kinds |= {f"{THEME_COLUMNS[column]}_{theme}": kind for theme in themes}
            else:
                self.kinds[column] = COLUMN_KINDS.get(column, "text")
        self.kinds |= {name: kind or "text" for name, kind in carried.items()}

    def flat(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with a value, or None, for every column."""
        flat = dict.fromkeys(self.kinds)
        for name, value in row.items():
            if name in THEME_COLUMNS:
                for theme, entry in value.items():
                    cell = entry.get("text", entry["id"]) if name == "evidence" else entry
                    flat[f"{THEME_COLUMNS[name]}_{theme}"] = cell
            else:
                flat[name] = as_text(value) if self.kinds[name] == "json" and value is not None else value
        return flat
