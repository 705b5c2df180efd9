"""Character and word TF-IDF with one logistic regression a theme (multinomial in a single-label task).

The baseline is nothing else, and the transformer has one beside it. A module of its own, so that an edit of the
baseline leaves the transformer as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.classifiers import Array, matrix
from pipeline.records import SINGLE_LABEL, LabelledRow, Labels, Task
from pipeline.settings import Count, Positive, Settings
from pipeline.storage import read_json, write_json

PARTS = {"char": {"analyzer": "char_wb"}, "word": {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b"}}


class LexicalSettings(Settings, frozen=True):
    """The content of configs/tfidf.yaml, and of section `lexical` of configs/transformer.yaml."""

    char_ngrams: tuple[Count, Count]
    word_ngrams: tuple[Count, Count]
    min_rows: Count
    sublinear: bool
    inverse_regularisation: Positive
    balanced: bool


class Lexical:
    """Two vocabularies side by side and a linear layer: `coefficients` of shape (themes, terms)."""

    def __init__(self, settings: LexicalSettings, labels: Labels) -> None:
        self.settings, self.labels = settings, labels
        ngrams = {"char": settings.char_ngrams, "word": settings.word_ngrams}
        self.vectorizers = {
            part: TfidfVectorizer(
                **options, ngram_range=ngrams[part], min_df=settings.min_rows, sublinear_tf=settings.sublinear
            )
            for part, options in PARTS.items()
        }
        self.coefficients, self.intercepts = np.zeros((len(labels.names), 0)), np.zeros(len(labels.names))

    def fit(self, rows: Sequence[LabelledRow]) -> None:
        """Fits vocabularies and regressions to targets and weights."""
        texts = [row.text for row in rows]
        features = sp.hstack([vectorizer.fit_transform(texts) for vectorizer in self.vectorizers.values()], "csr")
        targets, weights = matrix(rows)
        fit = self._fit_multinomial if self.labels.task == SINGLE_LABEL else self._fit_each
        self.coefficients, self.intercepts = fit(features, targets, weights)

    def _fit_each(self, features: sp.csr_matrix, targets: Array, weights: Array) -> tuple[Array, Array]:
        """One regression a theme. A soft target p is a positive row of weight p and a negative one of weight 1 - p."""
        count, width = features.shape
        twice = sp.vstack([features, features], "csr")
        truth = np.repeat([1, 0], count)
        coefficients, intercepts = np.zeros((targets.shape[1], width)), np.zeros(targets.shape[1])
        for column in range(targets.shape[1]):
            weight = np.concatenate(
                [weights[:, column] * targets[:, column], weights[:, column] * (1 - targets[:, column])]
            )
            used = weight > 0
            if len(set(truth[used])) < 2:
                intercepts[column] = _log_odds(weight[:count].sum(), weight[count:].sum())
                continue
            model = self._regression().fit(twice[used], truth[used], weight[used])
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

    def _regression(self) -> LogisticRegression:
        balance = "balanced" if self.settings.balanced else None
        return LogisticRegression(  # newton-cg: a third of the time of lbfgs, and nearer to the optimum
            C=self.settings.inverse_regularisation, class_weight=balance, max_iter=1000, solver="newton-cg"
        )

    def logits(self, texts: Sequence[str]) -> Array:
        """Log-odds of shape (texts, themes); in a single-label task log-probabilities but for a constant a text."""
        features = sp.hstack([vectorizer.transform(texts) for vectorizer in self.vectorizers.values()], "csr")
        logits: Array = features @ self.coefficients.T + self.intercepts
        return logits

    def save(self, folder: Path) -> None:
        """Settings and vocabularies as JSON, numbers as safetensors: nothing that could run code on loading."""
        write_json(folder / "settings.json", self.settings)
        vocabularies = {part: list(v.get_feature_names_out()) for part, v in self.vectorizers.items()}
        write_json(folder / "vocabularies.json", vocabularies)
        idf: dict[str, NDArray[np.float64]] = {f"idf_{part}": v.idf_ for part, v in self.vectorizers.items()}
        tensors = {**idf, "coefficients": self.coefficients, "intercepts": self.intercepts}
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, folder / "tfidf.safetensors")

    @classmethod
    def load(cls, folder: Path, labels: Labels) -> Lexical:
        """The model that `save` wrote."""
        model = cls(read_json(folder / "settings.json", LexicalSettings), labels)
        vocabularies = read_json(folder / "vocabularies.json", dict[str, list[str]])
        tensors = load_file(folder / "tfidf.safetensors")
        for part, vectorizer in model.vectorizers.items():
            vectorizer.set_params(vocabulary={term: index for index, term in enumerate(vocabularies[part])})
            vectorizer.idf_ = tensors[f"idf_{part}"]
        model.coefficients, model.intercepts = tensors["coefficients"], tensors["intercepts"]
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
