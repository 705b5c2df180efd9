"""Entries -> rows: the core of batch classification, without files or processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.schemas import Article, Record, ResultRow
from pipeline.inference.batch.summary import BatchCounts, column_kind, merge_kinds
from pipeline.inference.batch.writers import ARTICLE_COLUMNS, PARAGRAPH_COLUMNS, TableColumns
from pipeline.inference.classifier import Classifier, PredictOptions, Unit
from pipeline.inference.readers.records import input_record_or_reason
from pipeline.inference.readers.schema import Fields, InputRecord

_PLACE = re.compile(r"^(lines? \d+( to \d+)?|row \d+): ")
RECORDS_AT_ONCE = 256
"""Records of a stream that are classified at once."""
PARAGRAPH: Final = "paragraph"
ARTICLE: Final = "article"


class BatchOptions(Record, frozen=True):
    """What is wanted of each entry: `unit` says what an entry is, `level` what a row is."""

    unit: Literal["article", "paragraph"] = ARTICLE
    level: Literal["paragraph", "article", "both"] = PARAGRAPH
    choice: PredictOptions = PredictOptions()
    text: bool = True
    explain: bool = False


@dataclass
class BatchRows:
    """Rows of paragraphs, of articles and of what could not be classified, and their counts."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    articles: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    tally: BatchCounts = field(default_factory=BatchCounts)


def classify_batch(entries: Sequence[InputRecord], classifier: Classifier, options: BatchOptions) -> BatchRows:
    """Every entry becomes rows, or one line of the quarantine. What stands twice among them is computed once."""
    found = BatchRows()
    reserved = _reserved(classifier.facts.labels.names)
    for entry, results in _answered(entries, classifier, options):
        found.tally.records += 1
        if isinstance(results, str):
            found.quarantined.append(_failed(entry, results))
            found.tally.quarantined += 1
            _count(found.tally.reasons, _kind(results))
        else:
            carried = _renamed(entry.carried, reserved)
            _tell(found.tally, results, carried)
            found.rows += _rows(results, carried, options)
            found.articles += _articles(results, carried, options)
    _finish(found.rows, classifier, options)
    return found


def classify_records(
    records: Iterable[Mapping[str, Any]],
    classifier: Classifier,
    options: BatchOptions | None = None,
    fields: Fields | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows as `taqyryp classify` writes them, for records in memory or from an iterator, `RECORDS_AT_ONCE` at a time.

    They come in order, an article's own row after its paragraphs'. A record that can't be classified is a row, too:
    `status` failed, with the reason.

    >>> list(classify_records([{"id": 7, "text": "Тақырып\\nМектепте…", "views": 12}], classifier))  # doctest: +SKIP
    """
    options, fields = options or BatchOptions(), fields or Fields()
    reserved = _reserved(classifier.facts.labels.names)
    numbered = enumerate(records, 1)
    while several := [
        input_record_or_reason(record, "", str(number), fields) for number, record in islice(numbered, RECORDS_AT_ONCE)
    ]:
        found: list[dict[str, Any]] = []
        paragraphs: list[dict[str, Any]] = []
        for entry, results in _answered(several, classifier, options):
            if isinstance(results, str):
                found.append(_failed(entry, results))
                continue
            carried = _renamed(entry.carried, reserved)
            rows = _rows(results, carried, options)
            paragraphs += rows
            found += [*rows, *_articles(results, carried, options)]
        _finish(paragraphs, classifier, options)
        yield from found


def _answered(
    entries: Sequence[InputRecord], classifier: Classifier, options: BatchOptions
) -> Iterator[tuple[InputRecord, list[ResultRow] | str]]:
    """Each entry with its results, or the reason why there are none."""
    prepared = [_units(entry, classifier, options) for entry in entries]
    asked = (unit for units in prepared if not isinstance(units, str) for unit in units)
    results = classifier.classify(asked, options.choice)
    for entry, units in zip(entries, prepared, strict=True):
        yield entry, units if isinstance(units, str) else [next(results) for _ in units]


def _failed(entry: InputRecord, reason: str) -> dict[str, Any]:
    return {"id": entry.id, "source": entry.source, "status": "failed", "reason": reason}


def _rows(results: Sequence[ResultRow], carried: dict[str, Any], options: BatchOptions) -> list[dict[str, Any]]:
    return [] if options.level == ARTICLE else [msgspec.structs.asdict(result) | carried for result in results]


def _articles(results: Sequence[ResultRow], carried: dict[str, Any], options: BatchOptions) -> list[dict[str, Any]]:
    return [] if options.level == PARAGRAPH else [_roll_up(results, options.text) | carried]


def _finish(rows: Sequence[dict[str, Any]], classifier: Classifier, options: BatchOptions) -> None:
    """Adds reasons to rows and takes the text out, as the options say."""
    if options.explain:
        _explain(rows, classifier)
    if not options.text:
        for row in rows:
            row.pop("text", None)


def _explain(rows: Sequence[dict[str, Any]], classifier: Classifier) -> None:
    """Adds to the rows that the model has judged why they are as they are."""
    judged = [row for row in rows if row["status"] != "rejected"]
    if not judged:
        return
    reasons = classifier.explain([row["text"] for row in judged], [row["themes"] + row["undecided"] for row in judged])
    for row, why in zip(judged, reasons, strict=True):
        row["why"] = msgspec.to_builtins(why)


def _units(entry: InputRecord, classifier: Classifier, options: BatchOptions) -> Sequence[Unit] | str:
    """What the model is asked of an entry, or the reason why it can't be."""
    if entry.reason:
        return entry.reason
    title, text = entry.title, entry.text
    if entry.markup:
        from pipeline.inference.readers.pages import extract_article

        try:
            title, text = extract_article(text)
        except UserError as error:
            return str(error)
    if options.unit == PARAGRAPH:
        units = [classifier.unit(Article(id=entry.id, source=entry.source, text=text), entry.language)]
    else:
        units = classifier.units(Article(id=entry.id, source=entry.source, text=_headed(title, text)))
    return units if any(unit.text for unit in units) else "no text in it"


def _headed(title: str, text: str) -> str:
    """The article with its title as its first line, once."""
    title = " ".join(title.split())
    return text if not title or " ".join(text.lstrip().split("\n", 1)[0].split()) == title else f"{title}\n{text}"


def _reserved(themes: Sequence[str]) -> set[str]:
    """Names that a carried column can't have, whatever the format of the output."""
    ours = {*PARAGRAPH_COLUMNS, *ARTICLE_COLUMNS, "why"}
    return ours.union(
        TableColumns(PARAGRAPH_COLUMNS, themes, {}).kinds, TableColumns(ARTICLE_COLUMNS, themes, {}).kinds
    )


def _renamed(carried: Mapping[str, Any], reserved: set[str]) -> dict[str, Any]:
    """The carried columns; one whose name is taken comes out as `input.<name>`."""
    renamed: dict[str, Any] = {}
    for name, value in carried.items():
        while name in reserved or name in renamed:
            name = f"input.{name}"
        renamed[name] = value
    return renamed


def _kind(reason: str) -> str:
    """A reason without the place and the values in it, for counting."""
    return _PLACE.sub("", reason).split(" (")[0].split(";")[0]


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _tell(tally: BatchCounts, results: Sequence[ResultRow], carried: Mapping[str, Any]) -> None:
    """Counts what became of one entry."""
    for result in results:
        _count(tally.statuses, result.status)
        if result.status == "rejected":
            _count(tally.reasons, result.reason)
        else:
            _count(tally.languages, result.language)
            for theme in result.themes:
                _count(tally.themes, theme)
    for name, value in carried.items():
        tally.columns[name] = merge_kinds(tally.columns.get(name, ""), column_kind(value))


def _roll_up(results: Sequence[ResultRow], text: bool) -> dict[str, Any]:
    """An article: its themes by the share of its paragraphs, each with the paragraph that shows it best."""
    judged = [result for result in results if result.status != "rejected"]
    best: dict[str, ResultRow] = {}
    counts: dict[str, int] = {}
    languages: dict[str, int] = {}
    for result in judged:
        languages[result.language] = languages.get(result.language, 0) + len(result.text)
        for name in result.themes:
            counts[name] = counts.get(name, 0) + 1
            if name not in best or result.scores[name] > best[name].scores[name]:
                best[name] = result
    themes = sorted(counts, key=lambda name: -counts[name])
    first = results[0]
    return {
        "id": first.article,
        "source": first.source,
        "language": max(languages, key=lambda name: languages[name], default=""),
        "paragraphs": len(judged),
        "rejected": len(results) - len(judged),
        "themes": themes,
        "shares": {name: round(counts[name] / len(judged), 4) for name in themes},
        "evidence": {name: dict(_evidence(best[name], name, text)) for name in themes},
        "status": _status(judged, themes),
        "model": first.model,
    }


def _evidence(result: ResultRow, theme: str, text: bool) -> Iterator[tuple[str, Any]]:
    yield "id", result.id
    yield "score", result.scores[theme]
    if text:
        yield "text", result.text


def _status(judged: Sequence[ResultRow], themes: Sequence[str]) -> str:
    if not judged:
        return "rejected"
    return "abstained" if not themes and any(result.undecided for result in judged) else "classified"
