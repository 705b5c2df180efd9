"""Counts of a batch: every record is answered or quarantined, every row has a status, and the figures add up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.core.schemas import ResultRow

NOT_JUDGED = {
    "script": "rows abstained: their letters are of no language that the model knows, or were lost; "
    "see that the input is what it should be, and give --encoding if it was read in a wrong one",
    "language": "rows abstained: the model has not learnt their language; where it was told wrongly, give it in the "
    "input's field `language`",
}
"""What to do about rows that were not judged, by their reason."""
SPLIT_NOTE = (
    "--unit article: this model learnt whole records, and split ones cost it some ten points of F1; "
    "leave --unit out to classify each record as it is"
)
CUT_BY_SENTENCES = "articles on one line, cut between sentences; their own paragraphs can't be told"
BREAKS_WRITTEN_OUT = "articles with line breaks written as \\n"
TAKEN_WHOLE = "records of several lines taken as one paragraph each; leave --unit out, as the model learnt single ones"
MENDED_NOTE = "records read in a wrong encoding (РњРµРєС‚РµРї for Мектеп) and mended; mend them at their source, too"
_POSITION = re.compile(r"^(sheet '[^']*'( row \d+)?|lines? \d+( to \d+)?|(row|record|item) \d+): ")


class BatchCounts(msgspec.Struct):
    """Counts of a shard or, added up, of a job.

    `columns` are the carried ones with the kind of their values, `notes` what was seen that is no record of its own.
    """

    records: int = 0
    quarantined: int = 0
    statuses: dict[str, int] = {}
    reasons: dict[str, int] = {}
    languages: dict[str, int] = {}
    themes: dict[str, int] = {}
    notes: dict[str, int] = {}
    columns: dict[str, str] = {}

    def add_failed(self, reason: str) -> None:
        """Counts a record that could not be classified, by its reason without the line and the values in it."""
        self.records += 1
        self.quarantined += 1
        _add(self.reasons, _POSITION.sub("", reason).split(" (")[0].split(";")[0])

    def add_rows(self, rows: Sequence[ResultRow], carried: Mapping[str, Any]) -> None:
        """Counts a record that became rows."""
        self.records += 1
        for row in rows:
            _add(self.statuses, row.status)
            if row.reason:
                _add(self.reasons, row.reason)
            if row.status == "abstained" and row.reason:
                self.add_note(NOT_JUDGED[row.reason])
            if row.status != "rejected":
                _add(self.languages, row.language)
                for theme in row.themes:
                    _add(self.themes, theme)
        for column, value in carried.items():
            self.columns[column] = merge_kinds(self.columns.get(column, ""), column_kind(value))

    def add_note(self, note: str) -> None:
        """Counts something that is no record of its own."""
        _add(self.notes, note)

    def add(self, other: BatchCounts) -> None:
        """Takes the other's counts in."""
        self.records += other.records
        self.quarantined += other.quarantined
        for field in ("statuses", "reasons", "languages", "themes", "notes"):
            for name, count in getattr(other, field).items():
                _add(getattr(self, field), name, count)
        for column, kind in other.columns.items():
            self.columns[column] = merge_kinds(self.columns.get(column, ""), kind)

    @property
    def rows(self) -> int:
        """Rows of all statuses."""
        return sum(self.statuses.values())


def column_kind(value: Any) -> str:
    """What a carried value needs as a column: bool, int, float, text, json, or "" for none."""
    kind = {type(None): "", bool: "bool", int: "int", float: "float", str: "text"}.get(type(value), "json")
    return "json" if kind == "int" and not -(2**63) <= value < 2**63 else kind  # Parquet's integers have 64 bits


def merge_kinds(one: str, other: str) -> str:
    """The kind of a column that holds both."""
    if one == other or not one or not other:
        return one or other
    return "float" if {one, other} == {"int", "float"} else "json"


def _add(counts: dict[str, int], name: str, count: int = 1) -> None:
    counts[name] = counts.get(name, 0) + count


def summarise(
    counts: BatchCounts, repeated_ids: int, rates: Mapping[str, float], scarce: Mapping[str, str], model: str
) -> dict[str, Any]:
    """What happened, for people and programs.

    `rates` are the shares of themes in training, a hint at drift; `scarce` says which could not be learnt or measured.
    """
    judged = counts.rows - counts.statuses.get("rejected", 0)
    return {
        "model": model,
        "records": {
            "read": counts.records,
            "answered": counts.records - counts.quarantined,
            "quarantined": counts.quarantined,
            "repeated_ids": repeated_ids,
        },
        "rows": {"written": counts.rows, **dict(sorted(counts.statuses.items()))},
        "reasons": _most_frequent_first(counts.reasons),
        "languages": _most_frequent_first(counts.languages),
        "notes": _most_frequent_first(counts.notes),
        "themes": {
            name: {
                "rows": counts.themes.get(name, 0),
                "share": round(counts.themes.get(name, 0) / judged, 4) if judged else None,
                "share_in_training": rate,
            }
            for name, rate in rates.items()
        },
        "scarce": {name: why for name, why in scarce.items() if name in rates},
    }


def _most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _repeated(ids: int) -> str:
    return "" if not ids else ", 1 id stands more than once" if ids == 1 else f", {ids:,} ids stand more than once"


def format_summary(summary: Mapping[str, Any], seconds: float, resumed: int, note: str = "") -> str:
    """The summary as a few lines of text; `resumed` shards were done by an earlier run, a `note` ends it."""
    records, rows, themes = summary["records"], summary["rows"], summary["themes"]
    lines = [
        f"{records['read']:,} records: {records['answered']:,} answered, {records['quarantined']:,} quarantined"
        + _repeated(records["repeated_ids"]),
        f"{rows['written']:,} rows: " + ", ".join(f"{n:,} {name}" for name, n in rows.items() if name != "written"),
    ]
    for title in ("reasons", "languages"):
        if summary[title]:
            lines.append(f"{title}: " + ", ".join(f"{name} {n:,}" for name, n in summary[title].items()))
    lines += [f"{count:,} {note}" for note, count in summary["notes"].items()]
    width = max(map(len, themes), default=0)
    lines.append(f"{'theme':{width}}  {'rows':>10}  share  in training")
    for name, theme in themes.items():
        share = "–" if theme["share"] is None else f"{theme['share']:.1%}"
        lines.append(f"{name:{width}}  {theme['rows']:>10,}  {share:>5}  {theme['share_in_training']:>11.1%}")
    lines += [f"{name} {why}" for name, why in summary["scarce"].items()]
    rate = rows["written"] / max(seconds, 1e-9)
    speed = f", {rate:,.{0 if rate >= 10 else 1}f} rows/s"  # of a run that went on it would count what others did
    ending = f"; {note}" if note else ""
    lines.append(f"{seconds:.1f} s" + (f"; parts done before: {resumed:,}" if resumed else speed) + ending)
    return "\n".join(lines)
