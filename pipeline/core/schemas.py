"""The records that travel between stages, one frozen struct per step.

Each is a line of a JSONL file (see `io`); unknown or missing fields and wrong types are refused on reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

MULTI_LABEL = "multi-label"
SINGLE_LABEL = "single-label"

GOLD, RULES, TRANSFER = "gold", "rules", "transfer:"
"""Settings of a cross-validation: what the models learnt from. A language follows after `transfer:`."""

Task = Literal["multi-label", "single-label"]
Kind = Literal["title", "body", "item"]
Provenance = Literal["gold", "exemplar", "rule"]
Split = Literal["train", "dev", "test"]
Unit = Literal["article", "paragraph"]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all records: immutable, keyword-only, no unknown fields."""


class Article(Record, frozen=True):
    """One news text as it was read: `id` is the file's stem, `text` is decoded but not prepared."""

    id: str
    text: str
    source: str = ""


class Paragraph(Record, frozen=True):
    """A line of an article that is content. `position` counts an article's kept paragraphs from 1."""

    id: str
    article: str
    position: int
    kind: Kind
    language: str
    text: str


class Rejected(Record, frozen=True):
    """A line of an article that is not content, with the reason. `line` counts the article's lines from 1."""

    article: str
    line: int
    reason: str
    text: str


class Annotation(Record, frozen=True, omit_defaults=True):
    """What people (or models) read in one paragraph, bound to it by `article` and the digest of `text`.

    `asked` are the themes that the annotator decided on: one outside it is unknown, not absent. `themes` is `None` in a
    row that still waits to be filled in. `readings` keeps each independent one; `suggested` what the rules proposed.
    """

    article: str
    text: str
    asked: tuple[str, ...]
    themes: tuple[str, ...] | None
    readings: dict[str, tuple[str, ...]] = {}
    suggested: tuple[str, ...] = ()
    note: str = ""


class Exemplar(Record, frozen=True):
    """A paragraph written for training, or (in the challenge set) to score what training made; never for both.

    `by` says who wrote and labelled it, `readings` how others labelled it independently.
    """

    language: str
    text: str
    asked: tuple[str, ...]
    themes: tuple[str, ...]
    kind: str
    by: str
    register: str = ""
    readings: dict[str, tuple[str, ...]] = {}


class Labels(Record, frozen=True, omit_defaults=True):
    """The label set: `names` in the order of every target, weight and score vector.

    `retired` are themes that are no more, `renamed` pairs of an earlier and the present name: files still hold both.
    `unit` says what was labelled: paragraphs of articles, or each record of a table as it is (`paragraph`).
    """

    task: Task
    names: tuple[str, ...]
    retired: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    unit: Unit = "article"

    def present(self, themes: Iterable[str]) -> tuple[str, ...]:
        """Themes by their present names, each once, without retired ones; unknown ones stay, for others to refuse."""
        now = dict(self.renamed)
        return tuple(dict.fromkeys(now.get(theme, theme) for theme in themes if theme not in self.retired))


class LabelledRow(Record, frozen=True):
    """A training row. `targets` and `weights` follow `Labels.names`; weight 0 means the theme is unknown here.

    Targets are probabilities in [0, 1]; weights are in [0, 1]. `rule_targets` and `rule_weights` are what the rules
    alone would say, on gold rows too: models learn it where nobody was asked, and the evaluation asks how far rules
    would carry as the only teacher.
    """

    id: str
    article: str
    language: str
    kind: Kind
    text: str
    targets: tuple[float, ...]
    weights: tuple[float, ...]
    rule_targets: tuple[float, ...]
    rule_weights: tuple[float, ...]
    provenance: Provenance
    split: Split | None = None


class FoldRow(Record, frozen=True):
    """Where an article's rows stand: held out in `fold`, or (None) always on the training side.

    `role` says what the held-out scores serve: `test` is scored, `dev` only chooses thresholds.
    """

    article: str
    fold: int | None
    role: Split


class Scores(Record, frozen=True):
    """Out-of-fold probabilities of one row, in the order of `Labels.names`.

    `setting` says what the model had learnt from: `gold` (the ordinary case), `rules` (rule labels in place of the
    training folds' gold) or `transfer:<language>` (that language's articles alone).
    """

    id: str
    setting: str
    seed: int
    fold: int
    scores: tuple[float, ...]


class ScoredRow(Record, frozen=True):
    """A gold row with what a model says of it out of fold; `scores` and `decisions` are (seeds, themes).

    `text` is the digest of the paragraph's text: ids count paragraphs, and may say something else in another version of
    the articles.
    """

    id: str
    text: str
    article: str
    language: str
    targets: tuple[bool, ...]
    known: tuple[bool, ...]
    scores: tuple[tuple[float, ...], ...]
    decisions: tuple[tuple[bool, ...], ...]


class CurvePoint(Record, frozen=True):
    """One epoch of one fit: mean weighted loss on the training rows and on the held-out gold."""

    setting: str
    seed: int
    fold: int
    epoch: int
    loss: float
    held_out_loss: float | None


class ResultRow(Record, frozen=True, kw_only=True):
    """A row of batch classification: see docs/classify.md for each field. The defaults are those of a rejected line."""

    id: str
    source: str
    article: str
    position: int = 0
    language: str = ""
    text: str
    themes: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    scores: dict[str, float] = {}
    status: Literal["classified", "abstained", "rejected"] = "rejected"
    reason: str = ""
    model: str
