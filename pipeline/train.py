"""All labelled rows -> one model, with the thresholds that cross-validation chose."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline import text
from pipeline.classifiers import Setup, TextClassifier, model_class
from pipeline.errors import UserError
from pipeline.model_folder import ModelFacts, label_rates, versions
from pipeline.records import LabelledRow
from pipeline.storage import digest


def train(
    name: str, rows: Sequence[LabelledRow], setup: Setup, thresholds: dict[str, float], abstain_band: float
) -> tuple[TextClassifier, ModelFacts]:
    """Fits on every row that weighs something and is not kept for development or test.

    Raises:
        UserError: if there is no such row, or thresholds and labels don't fit together.
    """
    used = [row for row in rows if any(row.weights) and row.split in (None, "train")]
    if not used:
        raise UserError("no labelled row to train on; annotate an article or write rules")
    if sorted(thresholds) != sorted(setup.labels.names):
        raise UserError(
            f"thresholds are for {', '.join(sorted(thresholds))}, labels are {', '.join(sorted(setup.labels.names))}; "
            "run the cross-validation again"
        )
    model = model_class(name)(setup)
    model.fit(used)
    facts = ModelFacts(
        model=name,
        labels=setup.labels,
        thresholds=thresholds,
        abstain_band=abstain_band,
        text_version=text.VERSION,
        threads=setup.threads,
        training_rows=len(used),
        training_digest=digest(msgspec.json.encode(used)),
        label_rates=label_rates([row.targets for row in used], [row.weights for row in used], setup.labels),
        hardware=model.hardware,
        versions=versions(),
    )
    return model, facts
