"""The model as MLflow loads and serves it: a skin over `Classifier`, written as code, so that nothing is pickled.

MLflow runs this file by itself, beside a copy of the package (docs/mlflow.md shows what it answers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from pandas import DataFrame

from pipeline.tracking.requests import NO_LIMIT, OWN_THRESHOLDS, check_texts, guard_requests, invalid


class Served(PythonModel):  # type: ignore[misc]  # MLflow's types are skipped
    """Texts to themes, one row out for each row in, in order."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the model folder, once all its files have been checked, and has requests checked from then on."""
        from pipeline.inference.classifier import Classifier

        self.classifier = Classifier.load(context.artifacts["model"])
        guard_requests()

    def predict(
        self, context: PythonModelContext, model_input: DataFrame, params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Themes, undecided themes, scores and status for the column `text`; the column `id` comes back if given.

        `threshold` in [0, 1] takes the place of the model's own for every theme; `top_k` keeps the most probable ones.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE for no rows, too much text, a missing or empty text, an id that is
                none, or a parameter out of range.
        """
        texts, ids, params = model_input["text"].tolist(), model_input.get("id"), params or {}
        threshold, top_k = float(params.get("threshold", OWN_THRESHOLDS)), int(params.get("top_k", NO_LIMIT))
        if ids is not None and ids.isna().all():
            ids = None  # Spark's way to leave a column out
        check_texts(texts)
        for row, id_ in enumerate([] if ids is None else ids):
            if not isinstance(id_, str):
                raise invalid(f"id of row {row}: expected a text, or no ids at all, got {id_!r}")
        if threshold != OWN_THRESHOLDS and not 0 <= threshold <= 1:
            own = f"(or {OWN_THRESHOLDS} for the model's)"
            raise invalid(f"threshold: expected a number from 0 to 1 {own}, got {threshold}")
        if top_k < 0:
            raise invalid(f"top_k: expected 1 or more (or {NO_LIMIT} for no limit), got {top_k}")
        limits = None if threshold == OWN_THRESHOLDS else dict.fromkeys(self.classifier.facts.labels.names, threshold)
        answers: list[dict[str, Any]] = []
        for said in self.classifier(texts, limits, top_k=top_k or None):
            lists = {"themes": list(said.themes), "undecided": list(said.undecided)}
            answers.append({**lists, "scores": said.scores, "status": said.status})
        if ids is None:
            return answers
        return [{"id": id_, **answer} for id_, answer in zip(ids, answers, strict=True)]


set_model(Served())
