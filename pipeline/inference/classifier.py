"""The `Classifier`: a model folder that turns raw texts and articles into themes. All that serves goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

from pipeline.classifiers.decision import Prediction, decide
from pipeline.classifiers.model_folder import ModelInfo, inspect_model_folder, load_model_folder
from pipeline.core.errors import UserError
from pipeline.core.schemas import Record
from pipeline.text.language import known_languages
from pipeline.text.normalize import for_scoring, prepare

if TYPE_CHECKING:
    from pipeline.classifiers.explain import Explainer, Explanation


class PredictOptions(Record, frozen=True):
    """What of the model's answer is wanted: other thresholds, only some themes, only the `top_k` most probable.

    Thresholds are from 0 to 1; no `themes` means all of them.
    """

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

    def select(self, prediction: Prediction) -> Prediction:
        """What is wanted of a prediction."""
        if not self.themes and self.top_k is None:
            return prediction
        scores = {name: score for name, score in prediction.scores.items() if not self.themes or name in self.themes}
        given = [name for name in prediction.themes if name in scores]
        best = sorted(given, key=lambda name: -scores[name])[: self.top_k]
        return Prediction(
            themes=tuple(name for name in given if name in best),
            undecided=tuple(name for name in prediction.undecided if name in scores),
            scores=scores,
        )


class Classifier:
    """A trained model, its thresholds and its text preparation.

    >>> classifier = Classifier.load("models/tfidf")  # doctest: +SKIP
    >>> classifier("В школах внедряются программы «Адал ұрпақ».").themes  # doctest: +SKIP
    ('education', 'prevention')
    """

    def __init__(self, folder: Path, checked: tuple[ModelInfo, str], threads: int | None, cache: Path | None) -> None:
        self.facts, self.name = checked
        self.languages, self.told_among = known_languages(self.facts.languages), frozenset(self.facts.told_among)
        self._model, self.boilerplate = load_model_folder(folder, self.facts, threads)
        self._folder, self._cache = folder, None
        if cache:
            from pipeline.inference.cache import ScoreCache

            self._cache = ScoreCache(cache, self.name)

    @classmethod
    def load(cls, folder: str | Path, threads: int | None = None, cache: str | Path | None = None) -> Classifier:
        """The model in a folder that training wrote; `threads` to compute with, by default those of its training.

        `cache` is a folder where the scores of texts are kept for other runs and processes.

        Raises:
            UserError: if the folder is missing, damaged or made by another version of this project.
        """
        return cls(Path(folder), inspect_model_folder(Path(folder)), threads, Path(cache) if cache else None)

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
        options = PredictOptions(thresholds=dict(thresholds or {}), themes=tuple(themes), top_k=top_k)
        several = [texts] if isinstance(texts, str) else texts
        predictions = self.predict([prepare(text) for text in several], options)
        return predictions[0] if isinstance(texts, str) else predictions

    def predict(self, texts: Sequence[str], options: PredictOptions) -> list[Prediction]:
        """Themes of paragraphs whose text is prepared already.

        Raises:
            UserError: if `options` name a theme that this model lacks, or a number out of range.
        """
        labels, band = self.facts.labels, self.facts.abstain_log_odds
        options.check(labels.names)
        thresholds = self.facts.thresholds | options.thresholds
        return [options.select(decide(scores, labels, thresholds, band)) for scores in self._scores(texts)]

    def explain(self, texts: Sequence[str], themes: Sequence[Sequence[str]] | None = None) -> list[Explanation]:
        """Why texts get their themes, or some others (a list a text): words, rules, nearest training paragraphs.

        Raises:
            UserError: if the model folder holds nothing to explain with.
        """
        given = themes or [prediction.themes for prediction in self(texts)]
        return self._explainer([for_scoring(prepare(text), self.languages) for text in texts], given)

    @cached_property
    def _explainer(self) -> Explainer:
        from pipeline.classifiers.explain import Explainer

        return Explainer(self._folder, self._model, self.facts.labels)

    def _scores(self, texts: Sequence[str]) -> list[list[float]]:
        """A probability for each theme, 0 for one that was not learnt.

        A text that comes twice, or that the cache knows, is not scored again.
        """
        texts = [for_scoring(text, self.languages) for text in texts]
        distinct = list(dict.fromkeys(texts))
        scores = self._cache.get(distinct) if self._cache else {}
        missing = [text for text in distinct if text not in scores]
        if missing:
            scores_of_missing = self._model.predict(missing)
            scores_of_missing[:, [name in self.facts.unlearnt for name in self.facts.labels.names]] = 0
            new = dict(zip(missing, scores_of_missing.tolist(), strict=True))
            if self._cache:
                self._cache.put(new)
            scores |= new
        return [scores[text] for text in texts]
