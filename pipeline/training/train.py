"""All labelled rows -> one model, with the thresholds that cross-validation chose."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.classifiers.base import Setup, TextClassifier, model_class
from pipeline.classifiers.model_folder import ModelInfo, label_rates, package_versions
from pipeline.core.errors import UserError
from pipeline.core.io import sha256
from pipeline.core.schemas import LabelledRow
from pipeline.text.normalize import TEXT_VERSION


def train_model(
    name: str, rows: Sequence[LabelledRow], setup: Setup, thresholds: dict[str, float], abstain_band: float
) -> tuple[TextClassifier, ModelInfo]:
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
    facts = ModelInfo(
        model=name,
        labels=setup.labels,
        thresholds=thresholds,
        abstain_band=abstain_band,
        text_version=TEXT_VERSION,
        threads=setup.threads,
        training_rows=len(used),
        training_digest=sha256(msgspec.json.encode(used)),
        label_rates=label_rates(used, setup.labels),
        hardware=model.hardware,
        versions=package_versions(),
    )
    return model, facts
