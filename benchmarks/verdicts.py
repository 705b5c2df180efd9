"""How often `compare` says better or worse: of equally good models, and of ones that differ by a known macro-F1.

    python benchmarks/verdicts.py --pairs 2000

Pairs are simulated: five articles of 7 to 21 paragraphs, four themes whose share differs from article to article, and
two models that each do better on some articles than on others. Verdicts come from the code that the pipeline runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from pipeline.core.arrays import Array, Mask
from pipeline.core.settings import load_section
from pipeline.evaluation.compare import compare_models
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.evaluation.metrics import ScoredTable, macro_f1

SETTINGS = Path(__file__).parent.parent / "configs" / "pipeline.yaml"
THEMES = 4
ERRORS = -1.5
"""The log-odds of missing a theme; one is given falsely half as often. Macro-F1 comes to .72 to .78."""
BY_ARTICLE = (0.0, 0.5, 1.0, 1.5)
"""By how much the log-odds of two models' errors differ from article to article (standard deviation)."""
DIFFERENCES = (0.0, 0.05, 0.1, 0.15)


def simulate_pair(rng: np.random.Generator, sizes: Sequence[int], by_article: float, shift: float) -> list[ScoredTable]:
    """Two models on the same rows; `shift` is what the log-odds of the second one's errors have on top."""
    article = np.repeat(np.arange(len(sizes)), sizes)
    targets = rng.random((len(article), THEMES)) < rng.beta(1.05, 1.95, size=(len(sizes), THEMES))[article]
    hard = ERRORS + rng.normal(0, 0.5, len(sizes))[article] + rng.normal(size=len(article))
    apart = rng.normal(0, by_article, len(sizes))[article] / 2
    return [_scored(targets, article, odds, rng) for odds in (hard - apart, hard + apart + shift)]


def _scored(targets: Mask, article: Array, odds: Array, rng: np.random.Generator) -> ScoredTable:
    errors = 1 / (1 + np.exp(-odds))[:, None] * np.where(targets, 1, 0.5)
    decisions = (targets ^ (rng.random(targets.shape) < errors))[None]
    names = np.arange(len(article)).astype(str)
    known = np.ones_like(targets)
    return ScoredTable(names, names, article.astype(str), names, targets, known, decisions.astype(float), decisions)


def true_difference(by_article: float, shift: float) -> float:
    """By how much the first model's macro-F1 is ahead over many articles, the same ones at each call."""
    first, second = simulate_pair(np.random.default_rng(0), [14] * 20_000, by_article, shift)
    return macro_f1(first.targets, first.decisions[0]) - macro_f1(second.targets, second.decisions[0])


def shift_for(difference: float, by_article: float) -> float:
    """The shift that makes a true difference, to a hundredth; found by halving."""
    low, high = 0.0, 8.0 * (difference > 0)
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if true_difference(by_article, middle) < difference else (low, middle)
    return (low + high) / 2


def verdicts(
    pairs: int, difference: float, by_article: float, evaluation: EvaluationSettings, articles: int = 5
) -> Counter[str]:
    """How often each verdict is given of the first model, whose macro-F1 is truly higher by `difference`."""
    rng, shift = np.random.default_rng(0), shift_for(difference, by_article)
    said: Counter[str] = Counter()
    for _ in range(pairs):
        first, second = simulate_pair(rng, rng.integers(7, 22, size=articles).tolist(), by_article, shift)
        said[compare_models({"first": first, "second": second}, evaluation)[0]["verdict"]] += 1
    return said


@click.command()
@click.option("--pairs", default=2000, show_default=True, help="Simulated pairs for each cell of the table.")
@click.option("--articles", default=5, show_default=True, help="Articles that both models are scored on.")
def main(pairs: int, articles: int) -> None:
    """Prints a table: how often a true difference is found, and how often one is claimed where there is none."""
    evaluation = load_section(SETTINGS, "evaluation", EvaluationSettings)
    click.echo("| models differ by article | wrong | " + " | ".join(f"finds {d:.2f}" for d in DIFFERENCES[1:]) + " |")
    click.echo("|" + " ---: |" * (1 + len(DIFFERENCES)))
    for by_article in BY_ARTICLE:
        cells = [verdicts(pairs, difference, by_article, evaluation, articles) for difference in DIFFERENCES]
        shares = [
            (cells[0].total() - cells[0]["within noise"]) / pairs,
            *(cell["better"] / pairs for cell in cells[1:]),
        ]
        click.echo(f"| {by_article} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
