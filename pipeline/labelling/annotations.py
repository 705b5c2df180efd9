"""Annotations: bound to their paragraphs by article and text, checked, compared with each other, and asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from sklearn.metrics import cohen_kappa_score, f1_score

from pipeline.core.errors import UserError
from pipeline.core.io import Say, read_numbered_jsonl, sha256
from pipeline.core.schemas import Annotation, Labels, Paragraph
from pipeline.core.settings import load_settings
from pipeline.labelling.rules import LabellingRules, RuleSettings
from pipeline.labelling.themes import ThemeSettings, check_themes, read_labels, under_present_names
from pipeline.text.articles import read_article
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.normalize import prepare
from pipeline.text.segment import split_article


def rows_to_annotate(
    article: Path, annotations: Path, themes: Path, rules: Path, boilerplate: Path, say: Say
) -> list[Annotation]:
    """For each paragraph of an article a row to fill in, as `to_fill_in` makes it; `annotations` need not exist.

    Of an article without content it says so.

    Raises:
        UserError: if a file can't be read, or an annotation of the article fits none of its paragraphs.
    """
    labels = read_labels(load_settings(themes, ThemeSettings), themes)
    source = read_article(article)
    paragraphs, _ = split_article(source, load_settings(boilerplate, Boilerplate))
    if not paragraphs:
        say(f"{article}: no paragraph in it, so nothing to annotate")
    known = bind(annotations, paragraphs, labels, source.id) if annotations.exists() else {}
    return to_fill_in(paragraphs, known, LabellingRules(load_settings(rules, RuleSettings), labels))


def paragraph_key(article: str, text: str) -> tuple[str, str]:
    """What binds an annotation to its paragraph: the article and a digest of the text (NFC, spaces collapsed)."""
    return article, sha256(prepare(text).encode())


def bind(
    path: Path, paragraphs: Sequence[Paragraph], labels: Labels, article: str | None = None
) -> dict[str, dict[str, bool]]:
    """The themes known of each annotated paragraph: paragraph id -> theme -> present or absent. Not asked, not there.

    With an `article` only its rows are read. Several rows may speak of one paragraph if each theme is asked once: a
    theme added later is a further row.

    Raises:
        UserError: naming the line, if a row is not filled in, names a theme that is not a label or was not asked, asks
            a theme a second time, or fits no paragraph (its text changed, or its article is gone).
    """
    by_key = {paragraph_key(paragraph.article, paragraph.text): paragraph for paragraph in paragraphs}
    known: dict[str, dict[str, bool]] = {}
    for number, found in read_numbered_jsonl(path, Annotation):
        row = under_present_names(found, labels)
        if article not in (None, row.article) or not row.asked:
            continue
        place = f"{path}:{number}"
        if row.themes is None:
            raise UserError(f"{place}: themes is null; fill in a list of {', '.join(row.asked)}, or [] for none")
        check_themes(row.themes, row.asked, labels, place)
        for reader, reading in row.readings.items():
            check_themes(reading, row.asked, labels, f"{place}: readings.{reader}")
        paragraph = by_key.get(paragraph_key(row.article, row.text))
        if paragraph is None:
            raise UserError(f"{place}: {_why_unbound(row, paragraphs)}")
        themes = known.setdefault(paragraph.id, {})
        for theme in row.asked:
            if theme in themes:
                flaw = f"theme {theme!r} of this paragraph is annotated already"
                raise UserError(f"{place}: {flaw}; keep one of the rows")
            themes[theme] = theme in row.themes
    return known


def _why_unbound(row: Annotation, paragraphs: Sequence[Paragraph]) -> str:
    texts = [paragraph.text for paragraph in paragraphs if paragraph.article == row.article]
    if not texts:
        mend = "restore it or remove its rows; `dvc exp run --temp` and the queue see it once you `git add` it"
        return f"article {row.article!r} is not among the articles; {mend}"
    near = difflib.get_close_matches(prepare(row.text), texts, n=1, cutoff=0.0)[0]
    return (
        f"no paragraph of {row.article} has this text (any more).\n  annotated: {row.text}\n  nearest:   {near}\n"
        "  Read it again: put the new text and themes into the row, or remove it"
    )


def agreement(path: Path, labels: Labels) -> dict[str, object]:
    """How far the first two readings of each row agree, per theme: F1, Cohen's kappa and the number of differences.

    F1 is symmetric in the two readings. Kappa is None where both readings hold one and the same value throughout.
    """
    found = (under_present_names(row, labels) for _, row in read_numbered_jsonl(path, Annotation))
    rows = [row for row in found if len(row.readings) >= 2 and row.asked]
    themes: dict[str, object] = {}
    for theme in labels.names:
        asked = [list(row.readings.values()) for row in rows if theme in row.asked]
        if not asked:
            continue
        first, second = ([theme in readings[reader] for readings in asked] for reader in (0, 1))
        both = len({*first, *second}) > 1
        themes[theme] = {
            "f1": round(float(f1_score(first, second, zero_division=1.0)), 4),
            "kappa": round(float(cohen_kappa_score(first, second)), 4) if both else None,
            "different": sum(a != b for a, b in zip(first, second, strict=True)),
        }
    readers = sorted({reader for row in rows for reader in row.readings})
    return {"rows": len(rows), "readers": readers, "themes": themes}


def to_fill_in(
    paragraphs: Iterable[Paragraph], known: dict[str, dict[str, bool]], rules: LabellingRules
) -> list[Annotation]:
    """A row for each paragraph with themes that nobody has been asked about yet; `suggested` is what the rules say."""
    rows = []
    for row in paragraphs:
        asked = tuple(theme for theme in rules.labels if theme not in known.get(row.id, {}))
        votes = rules.votes(row.text)
        suggested = tuple(theme for theme in asked if theme in votes and votes[theme].probability > 0.5)
        if asked:
            rows.append(Annotation(article=row.article, text=row.text, asked=asked, themes=None, suggested=suggested))
    return rows
