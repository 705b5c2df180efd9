"""Records -> rows: the core of batch classification, without files or processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import msgspec

from pipeline.classifiers.decision import Prediction
from pipeline.core.errors import UserError
from pipeline.core.schemas import Paragraph, Record, Rejected, ResultRow, Unit
from pipeline.inference.batch.summary import BREAKS_WRITTEN_OUT, CUT_BY_SENTENCES, MENDED_NOTE, TAKEN_WHOLE, BatchCounts
from pipeline.inference.batch.writers import ARTICLE_KEYS, PARAGRAPH_KEYS, TableColumns
from pipeline.inference.classifier import Classifier, PredictOptions
from pipeline.inference.readers.fragments import text_of_fragment, with_markup
from pipeline.inference.readers.pages import extract_article
from pipeline.inference.readers.schema import Fields, InputRecord, input_record_or_reason
from pipeline.text.breaks import is_one_line, parted
from pipeline.text.language import detect, outside
from pipeline.text.mojibake import mended
from pipeline.text.normalize import prepare
from pipeline.text.segment import split_article

TEXTS_AT_ONCE = 1024
"""Paragraphs scored at once: enough to sort by length, few enough to hold."""
RECORDS_AT_ONCE = 256
"""Records in memory that are classified at once."""

_NOT_JUDGED = Prediction(themes=(), undecided=(), scores={})


class BatchOptions(Record, frozen=True):
    """What is wanted of each record: `unit` says what a record is (by default what the model learnt), `level` a row."""

    unit: Unit | None = None
    level: Literal["paragraph", "article", "both"] = "paragraph"
    choice: PredictOptions = PredictOptions()
    text: bool = True
    explain: bool = False


@dataclass
class BatchRows:
    """Rows of paragraphs, of articles and of what could not be classified; all of them in order; and their counts."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    articles: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    in_order: list[dict[str, Any]] = field(default_factory=list)
    counts: BatchCounts = field(default_factory=BatchCounts)


def classify_batch(records: Sequence[InputRecord], classifier: Classifier, options: BatchOptions) -> BatchRows:
    """Every record becomes rows, or one line of the quarantine. Equal texts are scored once."""
    labels = classifier.facts.labels
    batch, reserved = BatchRows(), _reserved(labels.names)
    options = msgspec.structs.replace(options, unit=options.unit or labels.unit)
    for record, results in _classified([_mended(record, batch.counts) for record in records], classifier, options):
        if record.reason:
            failed = {"id": record.id, "source": record.source, "status": "failed", "reason": record.reason}
            batch.quarantined.append(failed)
            batch.in_order.append(failed)
            batch.counts.add_failed(record.reason)
            continue
        carried = _renamed(record.carried, reserved)
        batch.counts.add_rows(results, carried)
        if options.unit == "article" and is_one_line(record.text):
            batch.counts.add_note(BREAKS_WRITTEN_OUT if "\\n" in record.text else CUT_BY_SENTENCES)
        if options.unit == "paragraph" and labels.unit == "article" and "\n" in record.text.strip():
            batch.counts.add_note(TAKEN_WHOLE)
        rows = [] if options.level == "article" else [msgspec.structs.asdict(result) | carried for result in results]
        articles = [] if options.level == "paragraph" else [_roll_up(results, options.text) | carried]
        batch.rows += rows
        batch.articles += articles
        batch.in_order += rows + articles
    if options.explain:
        _explain(batch.rows, classifier)
    if not options.text:
        for row in batch.rows:
            del row["text"]
    return batch


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
    read = (input_record_or_reason(record, "", str(number), fields) for number, record in enumerate(records, 1))
    marked = with_markup(read, fields.markup, Counter())
    while batch := list(islice(marked, RECORDS_AT_ONCE)):
        yield from classify_batch(batch, classifier, options).in_order


def _mended(record: InputRecord, counts: BatchCounts) -> InputRecord:
    """The record as it was written, if it came in a wrong encoding."""
    text = mended(record.text)
    if text == record.text:
        return record
    counts.add_note(MENDED_NOTE)
    return msgspec.structs.replace(record, text=text, title=mended(record.title))


def _classified(
    records: Sequence[InputRecord], classifier: Classifier, options: BatchOptions
) -> Iterator[tuple[InputRecord, list[ResultRow]]]:
    """Each record with its rows, those of rejected lines last, or with a reason and no rows.

    A paragraph in a script or language that the model doesn't know is not scored.
    """
    split = [_split(record, classifier, options) for record in records]
    whole = [paragraph for _, paragraphs, _ in split for paragraph in paragraphs]
    reasons = [outside(paragraph.text, paragraph.language, classifier.languages) for paragraph in whole]
    texts = [paragraph.text for paragraph, reason in zip(whole, reasons, strict=True) if not reason]
    predictions = (
        prediction
        for start in range(0, len(texts), TEXTS_AT_ONCE)
        for prediction in classifier.predict(texts[start : start + TEXTS_AT_ONCE], options.choice)
    )
    answers = iter([(_NOT_JUDGED if reason else next(predictions), reason) for reason in reasons])
    for record, paragraphs, rejected in split:
        origin: dict[str, Any] = {"source": record.source, "article": record.id, "model": classifier.name}
        rows = [
            ResultRow(
                **origin,
                **msgspec.structs.asdict(prediction),
                id=paragraph.id,
                position=paragraph.position,
                language=paragraph.language,
                text=paragraph.text,
                status="abstained" if reason else prediction.status,
                reason=reason,
            )
            for paragraph, (prediction, reason) in zip(paragraphs, islice(answers, len(paragraphs)), strict=True)
        ]
        for line in rejected:
            rows.append(ResultRow(**origin, id=f"{record.id}-line-{line.line}", text=line.text, reason=line.reason))
        yield record, rows


def _split(
    record: InputRecord, classifier: Classifier, options: BatchOptions
) -> tuple[InputRecord, list[Paragraph], list[Rejected]]:
    """The record's paragraphs and rejected lines; if there are none, the record comes back with the reason."""
    record, page_says = _without_markup(record) if record.markup else (record, {})
    if record.reason:
        return record, [], []
    if options.unit == "article":
        lined = msgspec.structs.replace(record, text=parted(record.text)) if is_one_line(record.text) else record
        article, known = _with_title(lined), (classifier.boilerplate, classifier.told_among)
        paragraphs, rejected = split_article(article, *known, page_says)
        if record.language:  # a given language is kept
            paragraphs = [msgspec.structs.replace(each, language=record.language) for each in paragraphs]
    else:  # never split, never rejected for its looks; a given language is kept
        text, rejected = prepare(record.text), []
        language = record.language or detect(text, among=classifier.told_among)
        whole = Paragraph(id=record.id, article=record.id, position=1, kind="body", language=language, text=text)
        paragraphs = [whole] if text else []
    record = record if paragraphs or rejected else msgspec.structs.replace(record, reason="no text in it")
    return record, paragraphs, rejected


def _without_markup(record: InputRecord) -> tuple[InputRecord, dict[str, str]]:
    """The record with its text alone, and what its page says of the lines."""
    page_says: dict[str, str] = {}
    try:
        if record.markup == "fragment":
            title, text = text_of_fragment(record.title), text_of_fragment(record.text)
        else:
            title, text, page_says = extract_article(record.text)
    except UserError as error:
        return msgspec.structs.replace(record, reason=str(error)), {}
    return msgspec.structs.replace(record, title=title, text=text), page_says


def _with_title(record: InputRecord) -> InputRecord:
    """The article with its title as its first line, once."""
    title, first = " ".join(record.title.split()), record.text.lstrip().split("\n", 1)[0]
    if not title or " ".join(first.split()) == title:
        return record
    return msgspec.structs.replace(record, text=f"{title}\n{record.text}")


def _explain(rows: Sequence[dict[str, Any]], classifier: Classifier) -> None:
    """Adds `why` to the rows that the model has judged."""
    judged = [row for row in rows if row["scores"]]
    if not judged:
        return
    reasons = classifier.explain([row["text"] for row in judged], [row["themes"] + row["undecided"] for row in judged])
    for row, why in zip(judged, reasons, strict=True):
        row["why"] = msgspec.to_builtins(why)


def _reserved(themes: Sequence[str]) -> set[str]:
    """Names that a carried column can't have, whatever the format of the output."""
    ours = (*PARAGRAPH_KEYS, *ARTICLE_KEYS, "why")
    return {*ours, *TableColumns(ours, themes, {}).kinds}


def _renamed(carried: Mapping[str, Any], reserved: set[str]) -> dict[str, Any]:
    """The carried columns; one whose name is taken comes out as `input.<name>`."""
    renamed: dict[str, Any] = {}
    for name, value in carried.items():
        while name in reserved or name in renamed:
            name = f"input.{name}"
        renamed[name] = value
    return renamed


def _roll_up(results: Sequence[ResultRow], text: bool) -> dict[str, Any]:
    """An article: its themes by the share of its paragraphs, each with the paragraph that shows it best."""
    judged = [result for result in results if result.status != "rejected"]
    language_sizes, counts = Counter[str](), Counter[str]()
    for result in judged:
        language_sizes[result.language] += len(result.text)
        counts.update(result.themes)
    themes = [name for name, _ in counts.most_common()]
    abstained = not themes and any(result.status == "abstained" for result in judged)
    first = results[0]
    return {
        "id": first.article,
        "source": first.source,
        "language": max(language_sizes, key=lambda name: language_sizes[name], default=""),
        "paragraphs": len(judged),
        "rejected": len(results) - len(judged),
        "themes": themes,
        "shares": {name: round(counts[name] / len(judged), 4) for name in themes},
        "evidence": {name: _evidence(judged, name, text) for name in themes},
        "status": "rejected" if not judged else "abstained" if abstained else "classified",
        "model": first.model,
    }


def _evidence(judged: Sequence[ResultRow], theme: str, text: bool) -> dict[str, Any]:
    """The paragraph with the theme whose score for it is highest, of several the first."""
    best = max((row for row in judged if theme in row.themes), key=lambda row: row.scores[theme])
    return {"id": best.id, "score": best.scores[theme]} | ({"text": best.text} if text else {})
