"""The model as MLflow loads and serves it: a skin over `Classifier`, written as code, so that nothing is pickled.

MLflow runs this file by itself, beside a copy of the package (docs/mlflow.md shows what it answers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from pandas import DataFrame

from pipeline.tracking import NO_LIMIT, OWN_THRESHOLDS


class Served(PythonModel):  # type: ignore[misc]  # MLflow's types are skipped
    """Texts to themes, one row out for each row in, in order."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the model folder, once all its files have been checked."""
        from pipeline.inference.classifier import Classifier

        self.classifier = Classifier.load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: DataFrame, params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Themes, undecided themes, scores and status for the column `text`; the column `id` comes back if given.

        `threshold` in [0, 1] takes the place of the model's own for every theme; `top_k` keeps the most probable ones.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE for no rows, a missing or empty text, or a parameter out of range.
        """
        texts = [_checked(text, row) for row, text in enumerate(model_input["text"])]
        if not texts:
            raise _invalid("no rows: give at least one text")
        threshold, top_k = _parameters(params or {})
        limits = None if threshold == OWN_THRESHOLDS else dict.fromkeys(self.classifier.facts.labels.names, threshold)
        answers = []
        for prediction in self.classifier(texts, limits, top_k=top_k or None):
            answers.append(
                {
                    "themes": list(prediction.themes),
                    "undecided": list(prediction.undecided),
                    "scores": prediction.scores,
                    "status": prediction.status,
                }
            )
        if "id" not in model_input:
            return answers
        return [{"id": id_, **answer} for id_, answer in zip(model_input["id"].tolist(), answers, strict=True)]


def _checked(text: object, row: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise _invalid(f"text of row {row}: expected a text that is not empty, got {text!r}")
    return text


def _parameters(params: Mapping[str, Any]) -> tuple[float, int]:
    threshold, top_k = float(params.get("threshold", OWN_THRESHOLDS)), int(params.get("top_k", NO_LIMIT))
    if threshold != OWN_THRESHOLDS and not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise _invalid(
            f"threshold: expected a number from 0 to 1 (or {OWN_THRESHOLDS} for the model's), got {threshold}"
        )
    if top_k < 0:
        raise _invalid(f"top_k: expected 1 or more (or {NO_LIMIT} for no limit), got {top_k}")
    return threshold, top_k


def _invalid(message: str) -> MlflowException:
    error: MlflowException = MlflowException.invalid_parameter_value(message)
    return error


set_model(Served())
