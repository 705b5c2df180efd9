"""Paragraphs written to be hard -> what a trained model makes of them: a table of its own, never pooled with gold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.io import atomic_folder, sha256, write_csv, write_json
from pipeline.core.schemas import GOLD, Exemplar, Labels
from pipeline.core.settings import load_section
from pipeline.evaluation.evaluate import EvaluationSettings, evaluate_model
from pipeline.evaluation.metrics import ScoredTable
from pipeline.evaluation.plot_data import risk_coverage
from pipeline.inference.classifier import Classifier
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.labelling.teaching import LEAST


def run_challenge(model: Path, challenge: Path, part: str, settings: Path, out: Path) -> None:
    """The stage `challenge`: scores a model folder on one part of the set, `dev` or `final`; writes the folder `out`.

    Raises:
        UserError: if a file is missing or broken, or the model folder is damaged or of another version.
    """
    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    classifier = Classifier.load(model)
    rows = [row for row in read_exemplars(challenge, classifier.facts.labels, {}) if challenge_part(row) == part]
    report, mistakes, risks = score_challenge(classifier, rows, evaluation)
    with atomic_folder(out) as folder:
        write_json(folder / f"{part}.json", report)
        write_csv(folder / "errors.csv", mistakes)
        write_csv(folder / "risk_coverage.csv", [{"model": classifier.facts.model, **point} for point in risks])


def score_challenge(
    classifier: Classifier, rows: Sequence[Exemplar], evaluation: EvaluationSettings
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """All figures with the model's own thresholds, every mistake, and risk by coverage.

    Authors stand for articles: behind fewer than five of them intervals come from paragraphs, and are too narrow.
    `false_alarms` is the share of paragraphs without any theme that were given one.
    """
    labels = classifier.facts.labels
    predictions = classifier([row.text for row in rows])
    digests = np.array([sha256(row.text.encode()) for row in rows])
    scored = ScoredTable(
        ids=digests,
        texts=digests,
        articles=np.array([row.by for row in rows]),
        languages=np.array([row.language for row in rows]),
        targets=np.array([[name in row.themes for name in labels.names] for row in rows]),
        known=np.array([[name in row.asked for name in labels.names] for row in rows]),
        scores=np.array([[[p.scores[name] for name in labels.names] for p in predictions]]),
        decisions=np.array([[[name in p.themes for name in labels.names] for p in predictions]]),
    )
    scored = scored.only((scored.targets & scored.known).sum(axis=0) >= LEAST)
    report = evaluate_model({GOLD: scored}, labels, evaluation)
    for key in ("articles", "seeds", "other_settings"):  # one model, taught in one way, and nobody's articles
        del report[key]
    for name, part in scored.slices().items():
        figures = report["figures"] if name == "all" else report["languages"][name]
        figures["false_alarms"] = _false_alarms(part)
    return report, _mistakes(scored, rows, labels), risk_coverage(scored)


def _false_alarms(scored: ScoredTable) -> float | None:
    empty = ~(scored.targets & scored.known).any(axis=1)
    return round(float(scored.decisions[0][empty].any(axis=1).mean()), 4) if empty.any() else None


def _mistakes(scored: ScoredTable, rows: Sequence[Exemplar], labels: Labels) -> list[dict[str, Any]]:
    """Every row with a wrong theme, the most confident mistakes first."""
    wrong = (scored.decisions[0] != scored.targets) & scored.known
    distance = (np.abs(scored.scores[0] - scored.targets) * wrong).max(axis=1)
    return [
        {
            "language": rows[index].language,
            "kind": rows[index].kind,
            "gold": ";".join(rows[index].themes),
            "given": ";".join(n for n, given in zip(labels.names, scored.decisions[0][index], strict=True) if given),
            **{f"score_{n}": round(float(s), 3) for n, s in zip(labels.names, scored.scores[0][index], strict=True)},
            "text": rows[index].text,
        }
        for index in np.argsort(-distance, kind="stable")
        if wrong[index].any()
    ]
