"""Why a paragraph gets its themes: words that weighed most, rules that matched, the nearest training paragraphs.

Training leaves in a model folder what this needs (`save_training_neighbours`); an `Explainer` reads it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pipeline.classifiers.base import TextClassifier
from pipeline.classifiers.tfidf_regression import TfidfRegression
from pipeline.classifiers.vectorizer import TOKEN, CharVectorizer, Vectorizer
from pipeline.core.arrays import Array
from pipeline.core.errors import UserError
from pipeline.core.io import read_json, read_jsonl, write_json, write_jsonl
from pipeline.core.schemas import LabelledRow, Labels, Record
from pipeline.labelling.rules import LabellingRules, RuleSettings

FOLDER = "explain"
_RULES, _PARAGRAPHS, _VECTORS = "rules.json", "training_neighbours.jsonl", "vectors.safetensors"
MAX_WORDS, MAX_NEIGHBOURS = 5, 3
"""Words that are named for each theme, and training paragraphs for each text."""
PUNCTUATION = ".,:;!?«»\"'()[]…–—-"
"""What is cut off either end of a word in an explanation."""


@runtime_checkable
class HasVectors(Protocol):
    """A model that gives texts vectors."""

    def vectors(self, texts: Sequence[str]) -> Array:
        """Unit vectors of shape (texts, width); those of texts that are alike to the model point the same way."""


class TrainingParagraph(Record, frozen=True):
    """A paragraph that the model has learnt from."""

    id: str
    provenance: str
    themes: tuple[str, ...]
    text: str


class Explanation(Record, frozen=True):
    """Reasons for one paragraph; `words` by theme, the heaviest first, in log-odds."""

    words: dict[str, dict[str, float]]
    rules: tuple[dict[str, str], ...]
    nearest: tuple[dict[str, Any], ...]


def save_training_neighbours(
    folder: Path, model: TextClassifier, rows: Sequence[LabelledRow], labels: Labels, rules: RuleSettings
) -> None:
    """Writes explain/: the rules and, for a model with vectors, its gold rows and exemplars with their vectors."""
    place = folder / FOLDER
    place.mkdir()
    write_json(place / _RULES, rules)
    learnt = [row for row in rows if row.provenance != "rule" and any(row.weights)]
    if isinstance(model, HasVectors) and learnt:
        write_jsonl(place / _PARAGRAPHS, [_training_paragraph(row, labels) for row in learnt])
        vectors = model.vectors([row.text for row in learnt]).astype(np.float16)  # 384 wide: 0.8 kB a row
        save_file({"vectors": vectors}, place / _VECTORS)


def _training_paragraph(row: LabelledRow, labels: Labels) -> TrainingParagraph:
    values = zip(labels.names, row.targets, row.weights, strict=True)
    themes = tuple(name for name, target, weight in values if weight and target >= 0.5)
    return TrainingParagraph(id=row.id, provenance=row.provenance, themes=themes, text=row.text)


class Explainer:
    """Reasons, from what training left in a model folder.

    Raises:
        UserError: if it left nothing, or something that another version wrote.
    """

    def __init__(self, folder: Path, model: TextClassifier, labels: Labels) -> None:
        place = folder / FOLDER
        if not place.is_dir():
            raise UserError(f"{folder}: holds nothing to explain with; train the model again")
        self._model, self._labels = model, labels
        self._rules = LabellingRules(read_json(place / _RULES, RuleSettings), labels)
        self._paragraphs: list[TrainingParagraph] = []
        if (place / _VECTORS).exists():
            self._paragraphs = read_jsonl(place / _PARAGRAPHS, TrainingParagraph)
            self._vectors: NDArray[np.float32] = load_file(place / _VECTORS)["vectors"].astype(np.float32)

    def __call__(self, texts: Sequence[str], themes: Sequence[Sequence[str]]) -> list[Explanation]:
        """Reasons for prepared texts; words are given for the `themes` of each."""
        return [
            Explanation(words=self._words(text, names), rules=self._matches(text), nearest=nearest)
            for text, names, nearest in zip(texts, themes, self._nearest(texts), strict=True)
        ]

    def _matches(self, text: str) -> tuple[dict[str, str], ...]:
        """Rules that match; one without a pattern of its own speaks where nothing matches, which explains nothing."""
        matched = (rule for rule in self._rules.hits(text) if rule.any or rule.also)
        return tuple({"name": rule.name, "theme": rule.theme, "votes": rule.votes} for rule in matched)

    def _words(self, text: str, themes: Sequence[str]) -> dict[str, dict[str, float]]:
        tfidf = getattr(self._model, "tfidf", None)
        if not isinstance(tfidf, TfidfRegression) or not themes:
            return {}
        words, weights = word_contributions(tfidf, text)
        heaviest = {}
        for theme in themes:
            column = weights[:, self._labels.names.index(theme)]
            best = [index for index in np.argsort(-column, kind="stable")[:MAX_WORDS] if column[index] > 0]
            heaviest[theme] = {words[index]: round(float(column[index]), 3) for index in best}
        return heaviest

    def _nearest(self, texts: Sequence[str]) -> list[tuple[dict[str, Any], ...]]:
        if not self._paragraphs or not isinstance(self._model, HasVectors):
            return [()] * len(texts)
        similarities = self._model.vectors(texts).astype(np.float32) @ self._vectors.T
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :MAX_NEIGHBOURS]
        pairs = zip(similarities, best.tolist(), strict=True)
        return [tuple(self._neighbour(index, float(row[index])) for index in indices) for row, indices in pairs]

    def _neighbour(self, index: int, similarity: float) -> dict[str, Any]:
        row = self._paragraphs[index]
        return {"id": row.id, "similarity": round(similarity, 3), "themes": list(row.themes), "text": row.text}


def word_contributions(tfidf: TfidfRegression, text: str) -> tuple[list[str], Array]:
    """The words of a text, and what each adds to the log-odds of each theme, shape (words, themes).

    What a term adds is its weight times its coefficient. It is divided equally among the occurrences of the term, and
    an occurrence's part among its words: a character n-gram stands in one word, a word n-gram in several. Nothing is
    lost: the sum over all words is the text's log-odds without the intercept.
    """
    text = text.lower()
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    words = [text[begin:end].strip(PUNCTUATION) or text[begin:end] for begin, end in spans]
    index = {word: number for number, word in enumerate(dict.fromkeys(words))}
    total = np.zeros((len(index), len(tfidf.intercepts)))
    for name, vectorizer in tfidf.vectorizers.items():
        if isinstance(vectorizer, CharVectorizer):
            occurrences = _char_occurrences(vectorizer, text, spans)
        else:
            occurrences = _word_occurrences(vectorizer, text, spans)
        shares: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))  # by column, then by word
        for column, word, share in occurrences:
            shares[column][word] += share
        row = vectorizer.transform([text])
        for column, weight in zip(row.indices.tolist(), row.data, strict=True):
            amount = weight * tfidf.coefficients[name][column]
            for word, share in shares[column].items():
                total[index[words[word]]] += amount * share / sum(shares[column].values())
    return list(index), total


Occurrences = Iterator[tuple[int, int, float]]
"""For each occurrence of a known term: its column, the number of a word that it stands in, and that word's share."""


def _char_occurrences(vectorizer: CharVectorizer, text: str, spans: Sequence[tuple[int, int]]) -> Occurrences:
    for word, (begin, end) in enumerate(spans):
        for column in vectorizer.word_columns(text[begin:end]).tolist():
            yield column, word, 1.0


def _word_occurrences(vectorizer: Vectorizer, text: str, spans: Sequence[tuple[int, int]]) -> Occurrences:
    starts = [begin for begin, _ in spans]
    tokens = [(match[0], bisect_right(starts, match.start()) - 1) for match in re.finditer(TOKEN, text)]
    shortest, longest = vectorizer.ngram_range
    for length in range(shortest, longest + 1):
        for ngram in zip(*(tokens[start:] for start in range(length)), strict=False):
            column = vectorizer.vocabulary.get(" ".join(token for token, _ in ngram))
            if column is not None:
                yield from ((column, word, 1 / length) for _, word in ngram)
