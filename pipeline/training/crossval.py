"""Out-of-fold probabilities: each gold row scored by models that never saw its article."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from pipeline.classifiers.base import Setup, TextClassifier, model_class
from pipeline.core.errors import UserError
from pipeline.core.io import read_json, read_jsonl, write_jsonl
from pipeline.core.schemas import GOLD, RULES, TRANSFER, CurvePoint, FoldRow, LabelledRow, Labels, Scores
from pipeline.core.settings import Count, Settings, load_section
from pipeline.labelling.teaching import learnable, taught

DIGITS = 6
"""Of scores and losses in files; reports round to four."""


class CrossvalSettings(Settings, frozen=True):
    """Section `crossval` of configs/pipeline.yaml."""

    seeds: list[int]
    transfer: bool
    rules_as_teacher: bool


@dataclass(frozen=True)
class FoldFit:
    """One model to be fitted, and the gold rows and exemplars that it then scores."""

    setting: str
    seed: int
    fold: int
    training: list[LabelledRow]
    held_out: list[LabelledRow]


def run_crossval(
    model: str,
    config: Path,
    encoder: Path | None,
    labelled: Path,
    labels: Path,
    folds: Path,
    settings: Path,
    scores: Path,
    curves: Path,
) -> None:
    """The stage `crossval`: reads rows and folds, writes out-of-fold `scores` and the loss `curves` of every fit.

    Raises:
        UserError: if a file is missing or broken, or a fold has nothing to learn from.
    """
    threads = load_section(settings, "threads", Count)
    setup = Setup(labels=read_json(labels, Labels), config=config, encoder=encoder, threads=threads, seed=0)
    kind, planned = model_class(model), load_section(settings, "crossval", CrossvalSettings)
    fits = plan_fits(read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow), planned, kind)
    found, curve = cross_validate(fits, kind, setup)
    write_jsonl(scores, found)
    write_jsonl(curves, curve, never_empty=True)  # a model without epochs has none


def plan_fits(
    rows: Sequence[LabelledRow], folds: Sequence[FoldRow], settings: CrossvalSettings, model: type[TextClassifier]
) -> list[FoldFit]:
    """Every fit of a model: each fold with each seed; with the first seed also rules as teacher, and transfer.

    Raises:
        UserError: if no seed is given or a fold has nothing to learn from.
    """
    if not settings.seeds:
        raise UserError("crossval.seeds: empty; give at least one number")
    places = {row.article: row for row in folds}
    seeds = settings.seeds if model.seeded else settings.seeds[:1]
    fits = [fit for seed in seeds for fit in _fold_fits(rows, places, GOLD, seed)]
    if model.learns and settings.rules_as_teacher:
        fits += _fold_fits([_without_gold(row) for row in rows], places, RULES, seeds[0])
    if model.learns and settings.transfer:
        fits += _transfer_fits(rows, places, seeds[0])
    for fit in fits:
        if not fit.training and fit.setting == GOLD:
            raise UserError(f"fold {fit.fold}: no labelled row to learn from; annotate another article")
    return [fit for fit in fits if fit.training and fit.held_out]


def _fold_fits(
    rows: Sequence[LabelledRow], places: Mapping[str, FoldRow], setting: str, seed: int
) -> Iterator[FoldFit]:
    teaching = [taught(row) for row in rows if places[row.article].role != "dev"]
    learnt = [row for row in teaching if any(row.weights)]
    for fold in sorted({place.fold for place in places.values() if place.fold is not None}):
        yield FoldFit(
            setting=setting,
            seed=seed,
            fold=fold,
            training=[row for row in learnt if places[row.article].fold != fold],
            held_out=[row for row in rows if places[row.article].fold == fold and row.provenance != "rule"],
        )


def _without_gold(row: LabelledRow) -> LabelledRow:
    """An article's row as if nobody had annotated it. Held-out rows meet their labels by id, whatever they carry."""
    if row.provenance == "exemplar":
        return row
    return msgspec.structs.replace(row, targets=row.rule_targets, weights=row.rule_weights)


def _transfer_fits(rows: Sequence[LabelledRow], places: Mapping[str, FoldRow], seed: int) -> Iterator[FoldFit]:
    """Trained on one language alone, scored on the gold of every article of others that has no row among them."""
    given = any(row.split for row in rows)
    teaching = [taught(row) for row in rows if places[row.article].fold is None or not given]
    usable = [row for row in teaching if any(row.weights)]
    gold = [row for row in rows if row.provenance == "gold"]
    for language in sorted({row.language for row in gold}):
        training = [row for row in usable if row.language == language]
        seen = {row.article for row in training}
        unseen = [row for row in gold if row.language != language and row.article not in seen]
        held_out = [row for row in unseen if places[row.article].fold is not None]
        yield FoldFit(setting=TRANSFER + language, seed=seed, fold=0, training=training, held_out=held_out)


def cross_validate(
    fits: Sequence[FoldFit], model: type[TextClassifier], setup: Setup
) -> tuple[list[Scores], list[CurvePoint]]:
    """Scores of the rows held out and the learning curves, in which gold alone is watched, in the order of the plan.

    A theme that a fit's rows can't teach has the score 0 in it.
    """
    scores, curve = [], []
    for fit in tqdm(fits, desc="cross-validation", unit="fit", disable=None):
        common: dict[str, Any] = {"setting": fit.setting, "seed": fit.seed, "fold": fit.fold}
        classifier = model(replace(setup, seed=fit.seed))
        for epoch in classifier.fit(fit.training, [row for row in fit.held_out if row.provenance == "gold"]):
            watched = None if epoch.held_out_loss is None else round(epoch.held_out_loss, DIGITS)
            point = CurvePoint(**common, epoch=epoch.number, loss=round(epoch.loss, DIGITS), held_out_loss=watched)
            curve.append(point)
        predicted = classifier.predict([row.text for row in fit.held_out])
        if model.learns:
            predicted[:, ~learnable(fit.training, setup.labels)] = 0
        del classifier  # else two models would be in memory once the next is made
        for row, values in zip(fit.held_out, predicted, strict=True):
            rounded = tuple(round(float(value), DIGITS) for value in values)
            scores.append(Scores(id=row.id, scores=rounded, **common))
    return scores, curve
