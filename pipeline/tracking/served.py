"""The model as MLflow loads and serves it: a skin over `Classifier`, written as code, so that nothing is pickled.

MLflow runs this file by itself, beside a copy of the package (docs/mlflow.md shows what it answers).
"""

from __future__ import annotations

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
        texts, params = model_input["text"].tolist(), params or {}
        threshold, top_k = float(params.get("threshold", OWN_THRESHOLDS)), int(params.get("top_k", NO_LIMIT))
        for row, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise _invalid(f"text of row {row}: expected a text that is not empty, got {text!r}")
        if not texts:
            raise _invalid("no rows: give at least one text")
        if threshold != OWN_THRESHOLDS and not 0 <= threshold <= 1:
            own = f"(or {OWN_THRESHOLDS} for the model's)"
            raise _invalid(f"threshold: expected a number from 0 to 1 {own}, got {threshold}")
        if top_k < 0:
            raise _invalid(f"top_k: expected 1 or more (or {NO_LIMIT} for no limit), got {top_k}")
        limits = None if threshold == OWN_THRESHOLDS else dict.fromkeys(self.classifier.facts.labels.names, threshold)
        answers: list[dict[str, Any]] = [
            {"themes": list(p.themes), "undecided": list(p.undecided), "scores": p.scores, "status": p.status}
            for p in self.classifier(texts, limits, top_k=top_k or None)
        ]
        if "id" not in model_input:
            return answers
        return [{"id": id_, **answer} for id_, answer in zip(model_input["id"].tolist(), answers, strict=True)]


def _invalid(message: str) -> Any:
    return MlflowException.invalid_parameter_value(message)


set_model(Served())
