"""Character and word TF-IDF with one logistic regression a theme (multinomial in a single-label task).

The baseline is nothing else, and the transformer has one beside it. A module of its own, so that an edit of the
baseline leaves the transformer as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from safetensors.numpy import load_file, save_file

from pipeline.classifiers.vectorizer import CharVectorizer, Vectorizer, WordVectorizer
from pipeline.core.arrays import Array, targets_and_weights
from pipeline.core.io import read_json, write_json
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels, Task
from pipeline.core.settings import Count, Positive, Settings

TFIDF_FILES = ("settings.json", "vocabularies.json", "tfidf.safetensors")
VECTORIZERS: dict[str, type[Vectorizer]] = {"char": CharVectorizer, "word": WordVectorizer}


class TfidfSettings(Settings, frozen=True):
    """The content of configs/tfidf.yaml, and of section `tfidf` of configs/transformer.yaml."""

    char_ngrams: tuple[Count, Count]
    word_ngrams: tuple[Count, Count]
    min_df: Count
    sublinear_tf: bool
    C: Positive
    class_weight: Literal["balanced"] | None


class TfidfRegression:
    """Two vocabularies side by side and a linear layer: `coefficients` of shape (terms, themes) for each."""

    def __init__(self, settings: TfidfSettings, labels: Labels) -> None:
        self.settings, self.labels = settings, labels
        self.terms: dict[str, Vectorizer] = {}
        self.coefficients: dict[str, Array] = {}
        self.intercepts = np.zeros(len(labels.names))

    def fit(self, rows: Sequence[LabelledRow]) -> None:
        """Fits vocabularies and regressions to targets and weights."""
        features = self._learn_terms([row.text for row in rows])
        targets, weights = targets_and_weights(rows)
        fit = self._fit_multinomial if self.labels.task == SINGLE_LABEL else self._fit_each
        coefficients, self.intercepts = fit(features, targets, weights)
        self._divide(coefficients)

    def _learn_terms(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Takes the vocabularies from texts; their features, those of all vocabularies side by side."""
        settings, features = self.settings, []
        for part, kind in VECTORIZERS.items():
            found = kind.learnt(texts, self._ngrams(part), settings.sublinear_tf, settings.min_df)
            self.terms[part] = found[0]
            features.append(found[1])
        return sp.hstack(features, "csr", np.float32)  # fits in two thirds of the time that float64 takes

    def _ngrams(self, part: str) -> tuple[int, int]:
        return self.settings.char_ngrams if part == "char" else self.settings.word_ngrams

    def _divide(self, coefficients: Array) -> None:
        """Gives each vocabulary its own of coefficients of shape (themes, all terms)."""
        first = 0
        for part, terms in self.terms.items():
            last = first + len(terms.idf)
            self.coefficients[part] = np.ascontiguousarray(coefficients[:, first:last].T)  # or products take thrice
            first = last

    def _fit_each(self, features: sp.csr_matrix, targets: Array, weights: Array) -> tuple[Array, Array]:
        """One regression a theme. A soft target p is a positive row of weight p and a negative one of weight 1 - p."""
        shape = targets.shape[1], features.shape[1]
        coefficients, intercepts = np.zeros(shape), np.zeros(shape[0])
        for column in range(shape[0]):
            for_, against = weights[:, column] * targets[:, column], weights[:, column] * (1 - targets[:, column])
            if not for_.any() or not against.any() or not shape[1]:
                intercepts[column] = _log_odds(for_.sum(), against.sum())
                continue
            rows = np.concatenate([np.flatnonzero(for_), np.flatnonzero(against)])
            truth = np.arange(len(rows)) < np.count_nonzero(for_)
            weight = np.concatenate([for_[for_ > 0], against[against > 0]])
            model = self._regression().fit(features[rows], truth, weight)
            coefficients[column], intercepts[column] = model.coef_[0], model.intercept_[0]
        return coefficients, intercepts

    def _fit_multinomial(self, features: sp.csr_matrix, targets: Array, weights: Array) -> tuple[Array, Array]:
        row, column = np.nonzero(targets * weights)
        weight = (targets * weights)[row, column]
        coefficients = np.zeros((targets.shape[1], features.shape[1]))
        intercepts = np.full(targets.shape[1], -20.0)  # a theme never seen: e^-20 beside the others
        classes = np.unique(column)
        if len(classes) == 1:
            intercepts[classes] = 0.0
            return coefficients, intercepts
        model = self._regression().fit(features[row], column, weight)
        if len(classes) == 2:  # scikit-learn keeps one row for two classes
            coefficients[classes[1]], intercepts[classes] = model.coef_[0], (0.0, model.intercept_[0])
        else:
            coefficients[classes], intercepts[classes] = model.coef_, model.intercept_
        return coefficients, intercepts

    def _regression(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(  # newton-cg: a third of the time of lbfgs, and nearer to the optimum
            C=self.settings.C,
            class_weight=self.settings.class_weight,
            max_iter=1000,
            solver="newton-cg",
        )

    def logits(self, texts: Sequence[str]) -> Array:
        """Log-odds of shape (texts, themes); in a single-label task log-probabilities but for a constant a text."""
        parts = [terms.features(texts) @ self.coefficients[part] for part, terms in self.terms.items()]
        logits: Array = sum(parts, self.intercepts)
        return logits

    def save(self, folder: Path) -> None:
        """Settings and vocabularies as JSON, numbers as safetensors: nothing that could run code on loading."""
        write_json(folder / "settings.json", self.settings)
        write_json(folder / "vocabularies.json", {part: list(terms.columns) for part, terms in self.terms.items()})
        tensors = {f"idf_{part}": terms.idf for part, terms in self.terms.items()}
        tensors["coefficients"] = np.concatenate([self.coefficients[part] for part in self.terms]).T
        tensors["intercepts"] = self.intercepts
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, folder / "tfidf.safetensors")

    @classmethod
    def load(cls, folder: Path, labels: Labels) -> TfidfRegression:
        """The model that `save` wrote."""
        model = cls(read_json(folder / "settings.json", TfidfSettings), labels)
        vocabularies = read_json(folder / "vocabularies.json", dict[str, list[str]])
        tensors = load_file(folder / "tfidf.safetensors")
        for part in VECTORIZERS:
            idf, ngrams = tensors[f"idf_{part}"], model._ngrams(part)
            model.terms[part] = VECTORIZERS[part](vocabularies[part], idf, ngrams, model.settings.sublinear_tf)
        model._divide(tensors["coefficients"])
        model.intercepts = tensors["intercepts"]
        return model


def probabilities(logits: Array, task: Task) -> Array:
    """The sigmoid of each logit, or in a single-label task the softmax of each row, shape (texts, themes)."""
    if task == SINGLE_LABEL:
        powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
        normalised: Array = powers / powers.sum(axis=1, keepdims=True)
        return normalised
    return 1 / (1 + np.exp(-logits))


def _log_odds(positive: float, negative: float) -> float:
    """Half a row added on each side, so that a theme never seen is improbable, not impossible."""
    return float(np.log((positive + 0.5) / (negative + 0.5)))
