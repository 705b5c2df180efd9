"""The `Classifier`: a model folder that turns raw texts and articles into themes. All that serves goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

from pipeline.classifiers import model_folder
from pipeline.classifiers.base import TextClassifier
from pipeline.classifiers.decision import decide
from pipeline.classifiers.model_folder import ModelInfo
from pipeline.core.errors import UserError
from pipeline.core.schemas import Article, Record, ResultRow
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.language import detect
from pipeline.text.normalize import prepare
from pipeline.text.segment import split_article

if TYPE_CHECKING:
    from pipeline.classifiers.explain import Explainer, Explanation
    from pipeline.inference.cache import ScoreCache

CHUNK = 1024
"""Paragraphs scored at once: enough to sort by length, little enough to hold."""


class Prediction(Record, frozen=True):
    """What the model says of one text: see docs/classify.md."""

    themes: tuple[str, ...]
    undecided: tuple[str, ...]
    scores: dict[str, float]
    status: str


class PredictOptions(Record, frozen=True):
    """What of the model's answer is wanted: other thresholds, only some themes, only the `top_k` most probable."""

    thresholds: dict[str, float] = {}
    themes: tuple[str, ...] = ()
    top_k: int | None = None

    def check(self, names: Sequence[str]) -> None:
        """Refuses what a model with these themes can't follow.

        Raises:
            UserError: if a theme is none of them, or a number is out of range.
        """
        for option, given in (("threshold", self.thresholds), ("themes", self.themes)):
            for name in given:
                if name not in names:
                    raise UserError(f"{option}: theme {name!r} is not one of {', '.join(names)}")
        for name, value in self.thresholds.items():
            if not 0 <= value <= 1:
                raise UserError(f"threshold: {name} is {value}; expected a number from 0 to 1")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top-k: {self.top_k}; expected 1 or more")


DEFAULT_OPTIONS = PredictOptions()
"""All that the model says, by its own thresholds."""


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

    def __init__(
        self,
        model: TextClassifier,
        facts: ModelInfo,
        boilerplate: Boilerplate,
        name: str,
        folder: Path,
        cache: ScoreCache | None = None,
    ) -> None:
        self.facts, self.name = facts, name
        self._model, self._boilerplate, self._folder, self._cache = model, boilerplate, folder, cache

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None, cache: str | Path | None = None) -> Classifier:
        """The model in a folder that training wrote; `threads` to compute with, by default those of its training.

        `cache` is a folder where the scores of texts are kept for other runs and processes.

        Raises:
            UserError: if the folder is missing, damaged or made by another version of the text preparation.
        """
        model, facts, boilerplate, name = model_folder.load_model_folder(Path(folder), threads)
        known = None
        if cache:
            from pipeline.inference.cache import ScoreCache

            known = ScoreCache(Path(cache), name)
        return cls(model, facts, boilerplate, name, Path(folder), known)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is an iterable of str, too
        self,
        texts: str,
        thresholds: Mapping[str, float] | None = None,
        themes: Sequence[str] = (),
        top_k: int | None = None,
    ) -> Prediction: ...

    @overload
    def __call__(
        self,
        texts: Iterable[str],
        thresholds: Mapping[str, float] | None = None,
        themes: Sequence[str] = (),
        top_k: int | None = None,
    ) -> list[Prediction]: ...

    def __call__(
        self,
        texts: str | Iterable[str],
        thresholds: Mapping[str, float] | None = None,
        themes: Sequence[str] = (),
        top_k: int | None = None,
    ) -> Prediction | list[Prediction]:
        """Themes of one text or of several, each taken as one paragraph. The options are those of `PredictOptions`.

        Raises:
            UserError: if a theme is none of this model's, or a number is out of range.
        """
        choice = PredictOptions(thresholds=dict(thresholds or {}), themes=tuple(themes), top_k=top_k)
        choice.check(self.facts.labels.names)
        several = [texts] if isinstance(texts, str) else list(texts)
        predictions = [self._predict(scores, choice) for scores in self._scores([prepare(text) for text in several])]
        return predictions[0] if isinstance(texts, str) else predictions

    def explain(self, texts: Sequence[str], themes: Sequence[Sequence[str]] | None = None) -> list[Explanation]:
        """Why texts get their themes, or some others (a list a text): words, rules, nearest training paragraphs.

        Raises:
            UserError: if the model folder holds nothing to explain with.
        """
        if themes is None:
            themes = [prediction.themes for prediction in self(texts)]
        return self._explainer([prepare(text) for text in texts], themes)

    @cached_property
    def _explainer(self) -> Explainer:
        from pipeline.classifiers.explain import Explainer

        return Explainer(self._folder, self._model, self.facts.labels)

    def _scores(self, texts: Sequence[str]) -> list[list[float]]:
        """Of prepared texts; one that stands several times, or that the cache knows, is not scored again."""
        distinct = list(dict.fromkeys(texts))
        known = self._cache.get(distinct) if self._cache else {}
        missing = [text for text in distinct if text not in known]
        if missing:
            found = dict(zip(missing, self._model.predict(missing).tolist(), strict=True))
            if self._cache:
                self._cache.put(found)
            known |= found
        return [known[text] for text in texts]

    def _predict(self, scores: Sequence[float], choice: PredictOptions) -> Prediction:
        labels = self.facts.labels
        limits = {**self.facts.thresholds, **choice.thresholds}
        decision = decide(scores, labels, limits, self.facts.abstain_band)
        wanted = choice.themes or labels.names
        named = {name: round(score, 6) for name, score in zip(labels.names, scores, strict=True) if name in wanted}
        best = sorted((name for name in decision.themes if name in wanted), key=lambda name: -named[name])
        themes = tuple(name for name in decision.themes if name in best[: choice.top_k])
        undecided = tuple(name for name in decision.undecided if name in wanted)
        status = "abstained" if undecided and not themes else "classified"
        return Prediction(themes=themes, undecided=undecided, scores=named, status=status)

    def units(self, article: Article) -> list[Unit]:
        """An article's paragraphs, split as in training, then the lines that are not content, each with its reason."""
        kept, rejected = split_article(article, self._boilerplate)
        return [
            *(Unit(p.id, article.source, p.article, p.position, p.language, p.text) for p in kept),
            *(Unit(f"{r.article}-line-{r.line}", article.source, r.article, 0, "", r.text, r.reason) for r in rejected),
        ]

    def unit(self, article: Article, language: str = "") -> Unit:
        """A record that is one paragraph: never split, never rejected for its looks; a given language is kept."""
        text = prepare(article.text)
        return Unit(article.id, article.source, article.id, 1, language or detect(text), text)

    def classify(self, units: Iterable[Unit], choice: PredictOptions = DEFAULT_OPTIONS) -> Iterator[ResultRow]:
        """A result for every unit, in order: classified, abstained, or rejected with its reason.

        Raises:
            UserError: if `choice` names a theme that this model lacks, or a number out of range.
        """
        choice.check(self.facts.labels.names)
        stream = iter(units)
        while chunk := list(islice(stream, CHUNK)):
            scored = iter(self._scores([unit.text for unit in chunk if not unit.reason]))
            for unit in chunk:
                yield self._result(unit, None if unit.reason else self._predict(next(scored), choice))

    def _result(self, unit: Unit, prediction: Prediction | None) -> ResultRow:
        facts = {"id": unit.id, "source": unit.source, "article": unit.article, "position": unit.position}
        facts |= {"language": unit.language, "text": unit.text, "reason": unit.reason, "model": self.name}
        if prediction is None:
            return ResultRow(**facts, themes=(), undecided=(), scores={}, status="rejected")  # type: ignore[arg-type]
        return ResultRow(
            **facts,  # type: ignore[arg-type]
            themes=prediction.themes,
            undecided=prediction.undecided,
            scores=prediction.scores,
            status=prediction.status,  # type: ignore[arg-type]
        )
