"""All labelled rows -> one model, with the thresholds that cross-validation chose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from pipeline.classifiers.base import Setup, TextClassifier, model_class
from pipeline.classifiers.decision import DecisionSettings
from pipeline.classifiers.explain import save_training_neighbours
from pipeline.classifiers.model_folder import ModelInfo, label_rates, package_versions, save_model_folder
from pipeline.core.errors import UserError
from pipeline.core.io import read_json, read_jsonl, sha256
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import Count, load_section, load_settings
from pipeline.labelling.rules import RuleSettings
from pipeline.labelling.teaching import scarce_themes, taught, training_rows, unlearnt_themes
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.language import USUAL, load_languages, told_among
from pipeline.text.normalize import TEXT_VERSION
from pipeline.training.crossval import CrossvalSettings


def run_train(
    model: str,
    config: Path,
    encoder: Path | None,
    labelled: Path,
    labels: Path,
    thresholds: Path,
    boilerplate: Path,
    rules: Path | None,
    settings: Path,
    out: Path,
) -> None:
    """The stage `train`: fits a model by the first seed of the cross-validation and writes its folder `out`.

    Raises:
        UserError: if a file is missing or broken, there is no row to train on, or thresholds and labels don't match.
    """
    rows, label_set = read_jsonl(labelled, LabelledRow), read_json(labels, Labels)
    setup = Setup(
        labels=label_set,
        config=config,
        encoder=encoder,
        threads=load_section(settings, "threads", Count),
        seed=load_section(settings, "crossval", CrossvalSettings).seeds[0],
    )
    band = load_section(settings, "decision", DecisionSettings).abstain_log_odds
    trained, info = train_model(
        model, rows, setup, read_json(thresholds, dict[str, float]), band, load_languages(settings)
    )
    votes = load_settings(rules, RuleSettings) if rules else RuleSettings(rules=[])
    save_model_folder(
        out,
        trained,
        info,
        load_settings(boilerplate, Boilerplate),
        lambda folder: save_training_neighbours(folder, trained, rows, label_set, votes),
    )


def train_model(
    name: str,
    rows: Sequence[LabelledRow],
    setup: Setup,
    thresholds: dict[str, float],
    abstain_log_odds: float,
    languages: Collection[str] = USUAL,
) -> tuple[TextClassifier, ModelInfo]:
    """Fits on every row that weighs something and is not kept for development or test.

    Texts to classify have their languages told among those of the rows and `languages`.

    Raises:
        UserError: if there is no such row, or thresholds and labels don't fit together.
    """
    used = [row for row in map(taught, training_rows(rows)) if any(row.weights)]
    if not used:
        raise UserError("no labelled row to train on; annotate an article or write rules")
    _check_thresholds(thresholds, setup.labels.names)
    model = model_class(name)(setup)
    model.fit(used)
    learnt = {row.language for row in used}
    info = ModelInfo(
        model=name,
        labels=setup.labels,
        thresholds=thresholds,
        abstain_log_odds=abstain_log_odds,
        text_version=TEXT_VERSION,
        threads=setup.threads,
        training_rows=len(used),
        training_digest=sha256(msgspec.json.encode(used)),
        label_rates=label_rates(used, setup.labels),
        unlearnt=unlearnt_themes(rows, setup.labels),
        scarce=scarce_themes(rows, setup.labels),
        hardware=model.hardware,
        versions=package_versions(),
        languages=tuple(sorted(learnt)),
        told_among=tuple(sorted(told_among(languages, learnt))),
    )
    return model, info


def _check_thresholds(thresholds: Collection[str], names: Collection[str]) -> None:
    if sorted(thresholds) != sorted(names):
        raise UserError(
            f"thresholds are for {', '.join(sorted(thresholds))}, labels are {', '.join(sorted(names))}; "
            "run the cross-validation again"
        )
