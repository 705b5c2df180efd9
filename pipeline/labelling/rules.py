"""Labelling rules: stems and phrases that vote for or against a theme, and how votes become a probability.

A pattern is a phrase of words. `стем*` takes any ending (Kazakh and Russian put their grammar there), `*стем` any
beginning, `(a|b)` either word, `~3` up to three words in between. Case, ё/е and the punctuation between two words do
not matter; a phrase never reaches over the end of a sentence. Patterns of every language are tried on every paragraph:
Kazakh programme names stand in Russian text and the other way round.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal

import msgspec

from pipeline.core.errors import UserError
from pipeline.core.schemas import Labels, Record
from pipeline.core.settings import Settings

Patterns = dict[str, list[str]]
# What may stand between two words of a phrase: a space and marks such as "», «", but not the end of a sentence.
BETWEEN = r"[^\w.!?]{1,4}"


class Rule(Settings, frozen=True):
    """One labelling function, or one case of it: entries of the same name are one rule, which has one vote.

    An entry fires where `any` matches (or always, if `any` is empty), `also` matches too (if given) and `unless` does
    not; what `ignore` matches is taken out of the text before. `confidence` in (0.5, 1) is the author's belief that a
    vote is right.
    """

    name: str
    theme: str
    votes: Literal["for", "against"]
    confidence: Annotated[float, msgspec.Meta(gt=0.5, lt=1)]
    any: Patterns = {}
    also: Patterns = {}
    unless: Patterns = {}
    ignore: Patterns = {}


class RuleSettings(Settings, frozen=True):
    """The content of configs/rules.yaml."""

    rules: list[Rule]


class Vote(Record, frozen=True):
    """What the votes on a theme of a paragraph come to: a probability, and its weight (0 unknown, 1 certain)."""

    probability: float
    weight: float


class CompiledRule:
    """A rule with its patterns as four regular expressions."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @cached_property
    def _parts(self) -> tuple[re.Pattern[str] | None, ...]:
        rule = self.rule
        return tuple(_compile(rule.name, patterns) for patterns in (rule.any, rule.also, rule.unless, rule.ignore))

    def fires(self, folded: str) -> bool:
        """Whether the rule speaks on a text that `fold` has folded."""
        wanted, also, unless, ignore = self._parts
        folded = ignore.sub(" ", folded) if ignore else folded
        speaks = all(part.search(folded) for part in (wanted, also) if part)
        return speaks and not (unless and unless.search(folded))


class LabellingRules:
    """The compiled rules of a label set; those of a retired theme are left out, an earlier name is read as the present.

    Raises:
        UserError: if a rule's theme is not a label, entries of one name differ in what they say, or a pattern is not
            well formed.
    """

    def __init__(self, settings: RuleSettings, labels: Labels) -> None:
        self.labels = labels.names
        self._cases: dict[str, list[CompiledRule]] = {}
        for entry in _under_present_names(settings.rules, labels):
            if entry.theme not in self.labels:
                flaw = f"theme {entry.theme!r} is not one of {', '.join(self.labels)}"
                raise UserError(f"rule {entry.name}: {flaw}; mend the rule or the list of themes")
            cases = self._cases.setdefault(entry.name, [])
            first = cases[0].rule if cases else entry
            if (first.theme, first.votes, first.confidence) != (entry.theme, entry.votes, entry.confidence):
                flaw = "stands several times and differs in theme, votes or confidence"
                raise UserError(f"rule {entry.name} {flaw}; make them equal, or rename one")
            cases.append(CompiledRule(entry))
        self.settings = tuple(cases[0].rule for cases in self._cases.values())

    def hits(self, text: str) -> list[Rule]:
        """The rules that fire on a prepared text, in the order of the file, each by its first entry."""
        folded = fold(text)
        return [cases[0].rule for cases in self._cases.values() if any(case.fires(folded) for case in cases)]

    def votes(self, text: str) -> dict[str, Vote]:
        """One vote a theme on which a rule speaks; a theme without a rule's word is left out: unknown, not absent."""
        return combine_votes(self.hits(text))


def _under_present_names(rules: Iterable[Rule], labels: Labels) -> Iterator[Rule]:
    for rule in rules:
        for theme in labels.present([rule.theme]):
            yield rule if theme == rule.theme else msgspec.structs.replace(rule, theme=theme)


def combine_votes(hits: Sequence[Rule]) -> dict[str, Vote]:
    """Adds the log-odds of the confidences, votes against counting negative: rules taken as independent witnesses.

    The weight is |2p - 1|: 0 where the votes cancel out, near 1 where many agree.
    """
    odds: dict[str, float] = {}
    for rule in hits:
        gain = math.log(rule.confidence / (1 - rule.confidence))
        odds[rule.theme] = odds.get(rule.theme, 0.0) + (gain if rule.votes == "for" else -gain)
    probabilities = {theme: 1 / (1 + math.exp(-value)) for theme, value in odds.items()}
    return {theme: Vote(probability=p, weight=abs(2 * p - 1)) for theme, p in probabilities.items()}


def fold(text: str) -> str:
    """The form in which rules compare: lower case, ё as е."""
    return text.lower().replace("ё", "е")


def _compile(name: str, patterns: Mapping[str, Sequence[str]]) -> re.Pattern[str] | None:
    phrases = [_phrase(name, phrase) for of_language in patterns.values() for phrase in of_language]
    # One look-behind for all phrases, not one each: 500,000 characters a second for 39,000 (docs/LOG.md).
    return re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)") if phrases else None


def _phrase(name: str, phrase: str) -> str:
    expression = ""
    for token in fold(phrase).split():
        if token.startswith("~"):
            if not expression or not token[1:].isdigit():
                raise UserError(f"rule {name}: {phrase!r}: a gap is written `word ~3 word`")
            expression += rf"(?:{BETWEEN}\w+){{0,{token[1:]}}}"
            continue
        expression += (BETWEEN if expression else "") + _word(name, token)
    if not expression:
        raise UserError(f"rule {name}: an empty pattern; write a word or remove it")
    return expression


def _word(name: str, token: str) -> str:
    alternatives = token[1:-1].split("|") if token.startswith("(") and token.endswith(")") else [token]
    if any(not re.fullmatch(r"\*?[\w.%-]+\*?", word) for word in alternatives):
        raise UserError(f"rule {name}: {token!r} is not a word, a stem* or (one|other)")
    words = [re.escape(word).replace(r"\*", r"[\w-]*") for word in alternatives]
    return f"(?:{'|'.join(words)})"
