"""Character and word TF-IDF with one logistic regression for each theme (multinomial in a single-label task).

Both the baseline `tfidf` and the transformer use it. It is a module of its own, so that an edit of the baseline
(tfidf.py) does not train the transformer again.
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
from pipeline.core.schemas import SINGLE_LABEL, LabelledRow, Labels
from pipeline.core.settings import Count, Positive, Settings

TFIDF_FILES = ("settings.json", "vocabularies.json", "tfidf.safetensors")


class TfidfSettings(Settings, frozen=True):
    """The content of configs/tfidf.yaml, and of section `tfidf` of configs/transformer.yaml."""

    char_ngrams: tuple[Count, Count]
    word_ngrams: tuple[Count, Count]
    min_df: Count
    sublinear_tf: bool
    C: Positive
    class_weight: Literal["balanced"] | None


class TfidfRegression:
    """Character and word n-grams side by side and a linear layer: `coefficients` of shape (terms, themes) for each."""

    def __init__(self, settings: TfidfSettings, labels: Labels) -> None:
        self.settings, self.labels = settings, labels
        sublinear_tf, min_df = settings.sublinear_tf, settings.min_df
        self.vectorizers: dict[str, Vectorizer] = {
            "char": CharVectorizer(settings.char_ngrams, sublinear_tf, min_df),
            "word": WordVectorizer(settings.word_ngrams, sublinear_tf, min_df),
        }
        self.coefficients: dict[str, Array] = {}
        self.intercepts = np.zeros(len(labels.names))

    def fit(self, rows: Sequence[LabelledRow]) -> None:
        """Fits vocabularies and regressions to targets and weights."""
        texts = [row.text for row in rows]
        parts = [vectorizer.fit_transform(texts) for vectorizer in self.vectorizers.values()]
        features = sp.hstack(parts, "csr", np.float64)
        targets, weights = targets_and_weights(rows)
        fit = self._fit_multinomial if self.labels.task == SINGLE_LABEL else self._fit_binary
        coefficients, self.intercepts = fit(features, targets, weights)
        self._split_coefficients(coefficients)

    def _split_coefficients(self, coefficients: Array) -> None:
        """Gives each vectorizer its columns of coefficients of shape (themes, all terms)."""
        start = 0
        for name, vectorizer in self.vectorizers.items():
            end = start + len(vectorizer.idf)
            # contiguous, because products with a transposed view take three times as long
            self.coefficients[name] = np.ascontiguousarray(coefficients[:, start:end].T)
            start = end

    def _fit_binary(self, features: sp.csr_matrix, targets: Array, weights: Array) -> tuple[Array, Array]:
        """One regression a theme. A soft target p is a positive row of weight p and a negative one of weight 1 - p."""
        shape = targets.shape[1], features.shape[1]
        coefficients, intercepts = np.zeros(shape), np.zeros(shape[0])
        for theme in range(shape[0]):
            positive = weights[:, theme] * targets[:, theme]
            negative = weights[:, theme] * (1 - targets[:, theme])
            if not positive.any() or not negative.any() or not shape[1]:
                # Only the frequency is known. Half a row more on each side makes a theme never seen improbable, not
                # impossible.
                intercepts[theme] = np.log((positive.sum() + 0.5) / (negative.sum() + 0.5))
                continue
            rows = np.concatenate([np.flatnonzero(positive), np.flatnonzero(negative)])
            truth = np.arange(len(rows)) < np.count_nonzero(positive)
            weight = np.concatenate([positive[positive > 0], negative[negative > 0]])
            model = self._regression().fit(features[rows], truth, weight)
            coefficients[theme], intercepts[theme] = model.coef_[0], model.intercept_[0]
        return coefficients, intercepts

    def _fit_multinomial(self, features: sp.csr_matrix, targets: Array, weights: Array) -> tuple[Array, Array]:
        """One regression over all themes; a row counts once for each theme of its target, by weight times target."""
        row, theme = np.nonzero(targets * weights)
        classes = np.unique(theme)
        coefficients = np.zeros((targets.shape[1], features.shape[1]))
        intercepts = np.full(targets.shape[1], -20.0)  # a theme never seen: e^-20 beside the others
        intercepts[classes] = 0.0
        if len(classes) > 1:
            model = self._regression().fit(features[row], theme, (targets * weights)[row, theme])
            fitted = classes[-len(model.coef_) :]  # of two classes scikit-learn keeps the second alone
            coefficients[fitted], intercepts[fitted] = model.coef_, model.intercept_
        return coefficients, intercepts

    def _regression(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        # newton-cg takes a third of the time of lbfgs. In float64 and to this tolerance the scores of two processors
        # differ by 4e-9; in float32 and to 1e-4, in half the time, by .005 and more, which moves themes and figures.
        options = {"C": self.settings.C, "class_weight": self.settings.class_weight}
        return LogisticRegression(**options, max_iter=1000, solver="newton-cg", tol=1e-8)

    def logits(self, texts: Sequence[str]) -> Array:
        """Log-odds of shape (texts, themes); in a single-label task log-probabilities but for a constant a text."""
        vectorizers = self.vectorizers.items()
        parts = [vectorizer.transform(texts) @ self.coefficients[name] for name, vectorizer in vectorizers]
        logits: Array = sum(parts, self.intercepts)
        return logits

    def save(self, folder: Path) -> None:
        """Settings and vocabularies as JSON, numbers as safetensors: nothing that could run code on loading."""
        write_json(folder / "settings.json", self.settings)
        write_json(folder / "vocabularies.json", {name: list(v.vocabulary) for name, v in self.vectorizers.items()})
        tensors = {f"idf_{name}": vectorizer.idf for name, vectorizer in self.vectorizers.items()}
        tensors["coefficients"] = np.concatenate([self.coefficients[name] for name in self.vectorizers]).T
        tensors["intercepts"] = self.intercepts
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, folder / "tfidf.safetensors")

    @classmethod
    def load(cls, folder: Path, labels: Labels) -> TfidfRegression:
        """The model that `save` wrote."""
        model = cls(read_json(folder / "settings.json", TfidfSettings), labels)
        vocabularies = read_json(folder / "vocabularies.json", dict[str, list[str]])
        tensors = load_file(folder / "tfidf.safetensors")
        for name, vectorizer in model.vectorizers.items():
            vectorizer.set_vocabulary(vocabularies[name], tensors[f"idf_{name}"])
        model._split_coefficients(tensors["coefficients"])
        model.intercepts = tensors["intercepts"]
        return model
