"""The `Classifier`: a model folder that turns raw texts and articles into themes. All that serves goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

from pipeline import model_folder
from pipeline.classifiers import TextClassifier
from pipeline.decision import decide
from pipeline.errors import UserError
from pipeline.language import detect
from pipeline.model_folder import ModelFacts
from pipeline.paragraphs import Furniture, split
from pipeline.records import Article, Record, Result
from pipeline.text import prepare

CHUNK = 256
"""Paragraphs scored at once: enough to sort by length, little enough to hold."""


class Prediction(Record, frozen=True):
    """What the model says of one text: see docs/classify.md."""

    themes: tuple[str, ...]
    undecided: tuple[str, ...]
    scores: dict[str, float]
    status: str


@dataclass(frozen=True)
class Unit:
    """A paragraph to classify, or (with `reason`) a line that is not content; `text` is prepared."""

    id: str
    source: str
    article: str
    position: int
    language: str
    text: str
    reason: str = ""


class Classifier:
    """A trained model, its thresholds and its text preparation.

    >>> classifier = Classifier.load("models/tfidf")  # doctest: +SKIP
    >>> classifier("В школах внедряются программы «Адал ұрпақ».").themes  # doctest: +SKIP
    ('education', 'prevention')
    """

    def __init__(self, model: TextClassifier, facts: ModelFacts, furniture: Furniture, name: str) -> None:
        self.facts, self.name = facts, name
        self._model, self._furniture = model, furniture

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """The model in a folder that training wrote.

        Raises:
            UserError: if the folder is missing, damaged or made by another version of the text preparation.
        """
        return cls(*model_folder.load(Path(folder)))

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is an iterable of str, too
        self, texts: str, thresholds: Mapping[str, float] | None = None
    ) -> Prediction: ...

    @overload
    def __call__(self, texts: Iterable[str], thresholds: Mapping[str, float] | None = None) -> list[Prediction]: ...

    def __call__(
        self, texts: str | Iterable[str], thresholds: Mapping[str, float] | None = None
    ) -> Prediction | list[Prediction]:
        """Themes of one text or of several. `thresholds` overrides those stored with the model, theme by theme.

        Raises:
            UserError: if a threshold names no theme of this model.
        """
        limits = self._limits(thresholds)
        several = [texts] if isinstance(texts, str) else list(texts)
        predictions = [self._predict(scores, limits) for scores in self._scores(several)]
        return predictions[0] if isinstance(texts, str) else predictions

    def _limits(self, thresholds: Mapping[str, float] | None) -> dict[str, float]:
        for name in thresholds or {}:
            if name not in self.facts.labels.names:
                raise UserError(f"threshold: theme {name!r} is not one of {', '.join(self.facts.labels.names)}")
        return {**self.facts.thresholds, **(thresholds or {})}

    def _scores(self, texts: Sequence[str]) -> list[list[float]]:
        scores: list[list[float]] = self._model.predict([prepare(text) for text in texts]).tolist()
        return scores

    def _predict(self, scores: Sequence[float], limits: Mapping[str, float]) -> Prediction:
        decision = decide(scores, self.facts.labels, limits, self.facts.abstain_band)
        named = {name: round(score, 6) for name, score in zip(self.facts.labels.names, scores, strict=True)}
        status = "abstained" if decision.abstained else "classified"
        return Prediction(themes=decision.themes, undecided=decision.undecided, scores=named, status=status)

    def units(self, article: Article) -> list[Unit]:
        """An article's paragraphs, split as in training, then the lines that are not content, each with its reason."""
        kept, rejected = split(article, self._furniture)
        return [
            *(Unit(p.id, article.source, p.article, p.position, p.language, p.text) for p in kept),
            *(Unit(f"{r.article}-line-{r.line}", article.source, r.article, 0, "", r.text, r.reason) for r in rejected),
        ]

    def unit(self, article: Article, language: str = "") -> Unit:
        """A record that is one paragraph: never split, never rejected for its looks; a given language is kept."""
        text = prepare(article.text)
        return Unit(article.id, article.source, article.id, 1, language or detect(text), text)

    def classify(self, units: Iterable[Unit], thresholds: Mapping[str, float] | None = None) -> Iterator[Result]:
        """A result for every unit, in order: classified, abstained, or rejected with its reason."""
        limits, stream = self._limits(thresholds), iter(units)
        while chunk := list(islice(stream, CHUNK)):
            scored = iter(self._scores([unit.text for unit in chunk if not unit.reason]))
            for unit in chunk:
                yield self._result(unit, None if unit.reason else self._predict(next(scored), limits))

    def _result(self, unit: Unit, prediction: Prediction | None) -> Result:
        facts = {"id": unit.id, "source": unit.source, "article": unit.article, "position": unit.position}
        facts |= {"language": unit.language, "text": unit.text, "reason": unit.reason, "model": self.name}
        if prediction is None:
            return Result(**facts, themes=(), undecided=(), scores={}, status="rejected")  # type: ignore[arg-type]
        return Result(
            **facts,  # type: ignore[arg-type]
            themes=prediction.themes,
            undecided=prediction.undecided,
            scores=prediction.scores,
            status=prediction.status,  # type: ignore[arg-type]
        )
