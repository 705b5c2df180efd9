"""Counts of a batch: every record is answered or quarantined, every row has a status, and the figures add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

NUMBER_KINDS = ("int", "float")


class BatchCounts(msgspec.Struct):
    """Counts of a part or, added up, of a job. `columns` are the carried ones with the kind of their values."""

    records: int = 0
    quarantined: int = 0
    statuses: dict[str, int] = {}
    reasons: dict[str, int] = {}
    languages: dict[str, int] = {}
    themes: dict[str, int] = {}
    columns: dict[str, str] = {}

    def add(self, other: BatchCounts) -> None:
        """Takes the other's counts in."""
        self.records += other.records
        self.quarantined += other.quarantined
        for name in ("statuses", "reasons", "languages", "themes"):
            mine = getattr(self, name)
            for value, count in getattr(other, name).items():
                mine[value] = mine.get(value, 0) + count
        for column, kind in other.columns.items():
            self.columns[column] = merge_kinds(self.columns.get(column, ""), kind)

    @property
    def rows(self) -> int:
        """Rows of all statuses."""
        return sum(self.statuses.values())

    @property
    def judged(self) -> int:
        """Rows that the model has seen."""
        return self.rows - self.statuses.get("rejected", 0)


def column_kind(value: Any) -> str:
    """What a carried value needs as a column: bool, int, float, text, json, or "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    return {float: "float", str: "text"}.get(type(value), "json")


def merge_kinds(one: str, other: str) -> str:
    """The kind of a column that holds both."""
    if one == other or not other:
        return one
    if not one:
        return other
    return "float" if {one, other} == set(NUMBER_KINDS) else "json"


def summarise(tally: BatchCounts, repeated_ids: int, rates: Mapping[str, float], model: str) -> dict[str, Any]:
    """What happened, for people and programs. `rates` are the shares of themes in training, a hint at drift."""
    judged = tally.judged
    return {
        "model": model,
        "records": {
            "read": tally.records,
            "answered": tally.records - tally.quarantined,
            "quarantined": tally.quarantined,
            "repeated_ids": repeated_ids,
        },
        "rows": {"written": tally.rows, **dict(sorted(tally.statuses.items()))},
        "reasons": _falling(tally.reasons),
        "languages": _falling(tally.languages),
        "themes": {
            name: {
                "rows": tally.themes.get(name, 0),
                "share": round(tally.themes.get(name, 0) / judged, 4) if judged else None,
                "share_in_training": rate,
            }
            for name, rate in rates.items()
        },
    }


def _falling(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def format_summary(found: Mapping[str, Any], seconds: float, resumed: int) -> str:
    """The summary as a few lines of text; `resumed` parts were done by an earlier run."""
    records, rows = found["records"], found["rows"]
    lines = [
        f"{records['read']:,} records: {records['answered']:,} answered, {records['quarantined']:,} quarantined"
        + (f", {records['repeated_ids']:,} ids stand more than once" if records["repeated_ids"] else ""),
        f"{rows['written']:,} rows: " + ", ".join(f"{n:,} {name}" for name, n in rows.items() if name != "written"),
    ]
    for title in ("reasons", "languages"):
        if found[title]:
            lines.append(f"{title}: " + ", ".join(f"{name} {n:,}" for name, n in found[title].items()))
    width = max(map(len, found["themes"]), default=0)
    lines.append(f"{'theme':{width}}  {'rows':>10}  share  in training")
    for name, theme in found["themes"].items():
        share = "–" if theme["share"] is None else f"{theme['share']:.1%}"
        lines.append(f"{name:{width}}  {theme['rows']:>10,}  {share:>5}  {theme['share_in_training']:>11.1%}")
    rate = rows["written"] / max(seconds, 1e-9)
    speed = f", {rate:,.{0 if rate >= 10 else 1}f} rows/s"  # of a run that went on it would count what others did
    lines.append(f"{seconds:.1f} s" + (f"; parts done before: {resumed:,}" if resumed else speed))
    return "\n".join(lines)
