"""Entries -> rows: the core of batch classification, without files or processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from pipeline.batch.outputs import ARTICLES, PARAGRAPHS, Columns
from pipeline.batch.tally import Tally, kind_of, merged
from pipeline.classify import Choice, Classifier, Unit
from pipeline.errors import UserError
from pipeline.intake import Entry, Fields
from pipeline.intake.records import entry_of
from pipeline.records import Article, Record, Result

_PLACE = re.compile(r"^(lines? \d+( to \d+)?|row \d+): ")
TOGETHER = 256
"""Records of a stream that are classified at once."""
PARAGRAPH: Final = "paragraph"
ARTICLE: Final = "article"


class Options(Record, frozen=True):
    """What is wanted of each entry: `unit` says what an entry is, `level` what a row is."""

    unit: Literal["article", "paragraph"] = ARTICLE
    level: Literal["paragraph", "article", "both"] = PARAGRAPH
    choice: Choice = Choice()
    text: bool = True
    explain: bool = False


@dataclass
class Answer:
    """Rows of paragraphs, of articles and of what could not be classified, and their counts."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    articles: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


def answer(entries: Sequence[Entry], classifier: Classifier, options: Options) -> Answer:
    """Every entry becomes rows, or one line of the quarantine. What stands twice among them is computed once."""
    found = Answer()
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


def rows_of(
    records: Iterable[Mapping[str, Any]], classifier: Classifier, options: Options | None, fields: Fields | None
) -> Iterator[dict[str, Any]]:
    """Rows of records in order, `TOGETHER` at a time, an article's own after its paragraphs'; a failed one says why."""
    options, fields = options or Options(), fields or Fields()
    reserved = _reserved(classifier.facts.labels.names)
    numbered = enumerate(records, 1)
    while several := [entry_of(record, "", str(number), fields) for number, record in islice(numbered, TOGETHER)]:
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
    entries: Sequence[Entry], classifier: Classifier, options: Options
) -> Iterator[tuple[Entry, list[Result] | str]]:
    """Each entry with its results, or the reason why there are none."""
    prepared = [_units(entry, classifier, options) for entry in entries]
    asked = (unit for units in prepared if not isinstance(units, str) for unit in units)
    results = classifier.classify(asked, options.choice)
    for entry, units in zip(entries, prepared, strict=True):
        yield entry, units if isinstance(units, str) else [next(results) for _ in units]


def _failed(entry: Entry, reason: str) -> dict[str, Any]:
    return {"id": entry.id, "source": entry.source, "status": "failed", "reason": reason}


def _rows(results: Sequence[Result], carried: dict[str, Any], options: Options) -> list[dict[str, Any]]:
    return [] if options.level == ARTICLE else [msgspec.structs.asdict(result) | carried for result in results]


def _articles(results: Sequence[Result], carried: dict[str, Any], options: Options) -> list[dict[str, Any]]:
    return [] if options.level == PARAGRAPH else [_roll_up(results, options.text) | carried]


def _finish(rows: Sequence[dict[str, Any]], classifier: Classifier, options: Options) -> None:
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


def _units(entry: Entry, classifier: Classifier, options: Options) -> Sequence[Unit] | str:
    """What the model is asked of an entry, or the reason why it can't be."""
    if entry.reason:
        return entry.reason
    title, text = entry.title, entry.text
    if entry.markup:
        from pipeline.intake.pages import article

        try:
            title, text = article(text)
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
    ours = {*PARAGRAPHS, *ARTICLES, "why"}
    return ours.union(Columns(PARAGRAPHS, themes, {}).kinds, Columns(ARTICLES, themes, {}).kinds)


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


def _tell(tally: Tally, results: Sequence[Result], carried: Mapping[str, Any]) -> None:
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
        tally.columns[name] = merged(tally.columns.get(name, ""), kind_of(value))


def _roll_up(results: Sequence[Result], text: bool) -> dict[str, Any]:
    """An article: its themes by the share of its paragraphs, each with the paragraph that shows it best."""
    judged = [result for result in results if result.status != "rejected"]
    best: dict[str, Result] = {}
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


def _evidence(result: Result, theme: str, text: bool) -> Iterator[tuple[str, Any]]:
    yield "id", result.id
    yield "score", result.scores[theme]
    if text:
        yield "text", result.text


def _status(judged: Sequence[Result], themes: Sequence[str]) -> str:
    if not judged:
        return "rejected"
    return "abstained" if not themes and any(result.undecided for result in judged) else "classified"
