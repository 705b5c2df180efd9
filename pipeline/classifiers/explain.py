"""Why a paragraph gets its themes: words that weighed, rules that matched, and training paragraphs that lie nearest.

It reads what `taught` has put into the model folder.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipeline.classifiers.base import TextClassifier
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.classifiers.training_neighbours import FOLDER, HasVectors, TrainingParagraph
from pipeline.classifiers.vectorizer import TOKEN, CharVectorizer, Vectorizer
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.io import read_json, read_jsonl
from pipeline.core.schemas import Labels, Record
from pipeline.labelling.rules import LabellingRules, RuleSettings

TERMS, NEIGHBOURS = 5, 3
_EDGES = ".,:;!?«»\"'()[]…–—-"


class Explanation(Record, frozen=True):
    """Reasons for one paragraph; `words` by theme, the heaviest first, in log-odds."""

    words: dict[str, dict[str, float]]
    rules: tuple[dict[str, str], ...]
    nearest: tuple[dict[str, Any], ...]


class Explainer:
    """Reasons, from what training left in a model folder.

    Raises:
        UserError: if it left nothing.
    """

    def __init__(self, folder: Path, model: TextClassifier, labels: Labels) -> None:
        place = folder / FOLDER
        if not place.is_dir():
            raise UserError(f"{folder}: holds nothing to explain with; train the model again")
        self._model, self._labels = model, labels
        self._rules = LabellingRules(read_json(place / "rules.json", RuleSettings), labels.names)
        self._taught: list[TrainingParagraph] = []
        if (place / "taught.jsonl").exists():
            self._taught = read_jsonl(place / "taught.jsonl", TrainingParagraph)
            self._vectors: NDArray[np.float32] = load_file(place / "vectors.safetensors")["vectors"].astype(np.float32)

    def __call__(self, texts: Sequence[str], themes: Sequence[Sequence[str]]) -> list[Explanation]:
        """Reasons for prepared texts; words are told for the `themes` of each."""
        nearest = self._nearest(texts)
        return [
            Explanation(words=self._words(text, given), rules=self._hits(text), nearest=near)
            for text, given, near in zip(texts, themes, nearest, strict=True)
        ]

    def _hits(self, text: str) -> tuple[dict[str, str], ...]:
        """What matched; a rule without a pattern of its own speaks where nothing matches, which explains nothing."""
        matched = (rule for rule in self._rules.hits(text) if rule.any or rule.also)
        return tuple({"name": rule.name, "theme": rule.theme, "votes": rule.votes} for rule in matched)

    def _words(self, text: str, themes: Sequence[str]) -> dict[str, dict[str, float]]:
        tfidf = getattr(self._model, "tfidf", None)
        if not isinstance(tfidf, TfidfRegression) or not themes:
            return {}
        words, weights = word_contributions(tfidf, text)
        told = {}
        for theme in themes:
            column = weights[:, self._labels.names.index(theme)]
            best = [index for index in np.argsort(-column, kind="stable")[:TERMS] if column[index] > 0]
            told[theme] = {words[index]: round(float(column[index]), 3) for index in best}
        return told

    def _nearest(self, texts: Sequence[str]) -> list[tuple[dict[str, Any], ...]]:
        if not self._taught or not isinstance(self._model, HasVectors):
            return [()] * len(texts)
        found = []
        for likeness in self._model.vectors(texts).astype(np.float32) @ self._vectors.T:
            best = np.argsort(-likeness, kind="stable")[:NEIGHBOURS]
            found.append(tuple(self._neighbour(index, float(likeness[index])) for index in best))
        return found

    def _neighbour(self, index: int, likeness: float) -> dict[str, Any]:
        row = self._taught[index]
        return {"id": row.id, "similarity": round(likeness, 3), "themes": list(row.themes), "text": row.text}


def word_contributions(tfidf: TfidfRegression, text: str) -> tuple[list[str], Array]:
    """The words of a text, and what each adds to the log-odds of each theme, shape (words, themes).

    A term's share is its weight times its coefficient. A character n-gram stands in words, a run of words consists of
    them: the share is divided among its occurrences, and an occurrence's among its words. Nothing is lost: the sum over
    all words is the text's log-odds without the intercept.
    """
    text = text.lower()
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    words = [text[begin:end].strip(_EDGES) or text[begin:end] for begin, end in spans]
    names = list(dict.fromkeys(words))
    total = np.zeros((len(names), len(tfidf.intercepts)))
    for part, terms in tfidf.terms.items():
        owners = _in_words(terms, text, spans) if isinstance(terms, CharVectorizer) else _of_words(terms, text, spans)
        row = terms.features([text])
        for column, weight in zip(row.indices, row.data, strict=True):
            amount = weight * tfidf.coefficients[part][column]
            occurrences = owners[int(column)]
            for owner, share in occurrences.items():
                total[names.index(words[owner])] += amount * share / sum(occurrences.values())
    return names, total


Owners = dict[int, dict[int, float]]
"""By column of the vocabulary the words, by their place in the text, in which the term occurs, and how often."""


def _in_words(terms: CharVectorizer, text: str, spans: Sequence[tuple[int, int]]) -> Owners:
    owners: Owners = {}
    for place, (begin, end) in enumerate(spans):
        for column in terms.in_word(text[begin:end]).tolist():
            occurrences = owners.setdefault(column, {})
            occurrences[place] = occurrences.get(place, 0.0) + 1.0
    return owners


def _of_words(terms: Vectorizer, text: str, spans: Sequence[tuple[int, int]]) -> Owners:
    starts = [begin for begin, _ in spans]
    tokens = [(match[0], bisect_right(starts, match.start()) - 1) for match in re.finditer(TOKEN, text)]
    shortest, longest = terms.ngrams
    owners: Owners = {}
    for length in range(shortest, longest + 1):
        for at in range(len(tokens) - length + 1):
            run = tokens[at : at + length]
            column = terms.columns.get(" ".join(token for token, _ in run))
            if column is not None:
                occurrences = owners.setdefault(column, {})
                for _, place in run:
                    occurrences[place] = occurrences.get(place, 0.0) + 1 / length
    return owners
