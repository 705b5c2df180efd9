"""How fast a round of cross-validation is, beside Hugging Face's `Trainer` with its defaults, in one run.

    python benchmarks/training.py --exemplars 800

Both fine-tune the same upper layers of the same encoder, for the same epochs over the same rows, in every fold, and are
scored alike: whole articles held out together, thresholds chosen on other rows. `Trainer`
needs `pip install accelerate`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import click
import numpy as np

from pipeline.classifiers.base import Epoch, Setup
from pipeline.classifiers.decision import DecisionSettings
from pipeline.classifiers.transformer import Transformer, TransformerSettings
from pipeline.core.arrays import Array, targets_and_weights
from pipeline.core.io import read_json, read_jsonl
from pipeline.core.schemas import GOLD, FoldRow, LabelledRow, Labels
from pipeline.core.settings import load_section, load_settings
from pipeline.evaluation.evaluate import join_settings
from pipeline.evaluation.metrics import compute_metrics
from pipeline.training.crossval import CrossvalSettings, FoldFit, cross_validate, plan_fits

ROOT = Path(__file__).parent.parent
TOGETHER = 32


class Peer:
    """`Trainer` with its defaults: float32, AdamW at 5e-5, batches of 8 rows, each padded to its longest row."""

    learns: ClassVar[bool] = True
    seeded: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(setup.threads)
        torch.manual_seed(setup.seed)
        folder, facts = setup.checked_encoder()
        self.settings, self.seed, self.prefix = (
            load_settings(setup.config, TransformerSettings),
            setup.seed,
            facts["prefix"],
        )
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=len(setup.labels.names), problem_type="multi_label_classification"
        )
        body = self.model.base_model
        for frozen in (body.embeddings, *body.encoder.layer[: self.settings.frozen_layers]):
            frozen.requires_grad_(False)

    @property
    def hardware(self) -> dict[str, str]:
        """As it is on a machine without a GPU."""
        return {"device": "cpu", "precision": "float32"}

    def fit(self, rows: Sequence[LabelledRow], held_out: Sequence[LabelledRow] = ()) -> list[Epoch]:
        """The epochs of the settings over all rows; each theme of a row counts as asked."""
        from datasets import Dataset
        from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

        targets, _ = targets_and_weights(rows)
        table = Dataset.from_dict({**self._tokens([row.text for row in rows]), "labels": targets.astype(np.float32)})
        with TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, num_train_epochs=self.settings.epochs, seed=self.seed, save_strategy="no", report_to=[],
                disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            trainer = Trainer(self.model, arguments, DataCollatorWithPadding(self.tokenizer), table)
            loss = trainer.train().training_loss
        return [Epoch(number=self.settings.epochs, loss=loss, held_out_loss=None)]

    def predict(self, texts: Sequence[str]) -> Array:
        """Probabilities of shape (texts, themes)."""
        import torch

        self.model.eval()
        found = []
        with torch.no_grad():
            for start in range(0, len(texts), TOGETHER):
                batch = self.tokenizer.pad(self._tokens(texts[start : start + TOGETHER]), return_tensors="pt")
                found.append(self.model(**batch).logits.sigmoid().double().numpy())
        return np.concatenate(found)

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        return dict(self.tokenizer([self.prefix + text for text in texts], truncation=True))

    def save(self, folder: Path) -> None:
        """Not asked for here."""

    @classmethod
    def load(cls, folder: Path, labels: Labels, threads: int) -> Peer:
        """Not asked for here."""
        raise NotImplementedError


@dataclass(frozen=True)
class Round:
    """What a round took, in seconds, and the macro-F1 on gold rows that it came to."""

    seconds: float
    macro_f1: float


@dataclass(frozen=True)
class Task:
    """Rows and folds of one round: every fold once, by one seed."""

    rows: list[LabelledRow]
    folds: list[FoldRow]
    setup: Setup
    decision: DecisionSettings

    @classmethod
    def read(cls, exemplars: int, threads: int) -> Task:
        """The pipeline's, with so many exemplars, spread evenly over those there are."""
        rows = read_jsonl(ROOT / "data/labelled.jsonl", LabelledRow)
        written = [row for row in rows if row.provenance == "exemplar"]
        kept = {row.id for row in written[:: max(1, len(written) // exemplars)][:exemplars]}
        rows = [row for row in rows if row.provenance != "exemplar" or row.id in kept]
        articles = {row.article for row in rows}
        folds = [row for row in read_jsonl(ROOT / "data/folds.jsonl", FoldRow) if row.article in articles]
        labels = read_json(ROOT / "data/labels.json", Labels)
        setup = Setup(labels, ROOT / "configs/transformer.yaml", ROOT / "models/encoder", threads, 0)
        return cls(rows, folds, setup, load_section(ROOT / "configs/pipeline.yaml", "decision", DecisionSettings))

    def fits(self) -> list[FoldFit]:
        """One a fold."""
        settings = CrossvalSettings(seeds=[self.setup.seed], transfer=False, rules_as_teacher=False)
        return plan_fits(self.rows, self.folds, settings, Transformer)

    def round(self, model: Any) -> Round:
        """Fits and scores every fold."""
        began = time.perf_counter()
        scores, _ = cross_validate(self.fits(), model, self.setup)
        seconds = time.perf_counter() - began
        gold = join_settings(self.rows, self.folds, scores, self.setup.labels, self.decision)[GOLD]
        return Round(seconds, compute_metrics(gold, self.setup.labels.names)["f1_macro"])


def table(rounds: dict[str, Round], peer: str) -> str:
    """Time, the ratio to the peer's, macro-F1."""
    lines = ["| way | seconds | times as fast | macro-F1 out of fold |", "| --- | ---: | ---: | ---: |"]
    for name, found in rounds.items():
        ratio = rounds[peer].seconds / found.seconds
        lines.append(f"| {name} | {found.seconds:,.0f} | {ratio:.2f} | {found.macro_f1:.3f} |")
    return "\n".join(lines)


@click.command()
@click.option("--exemplars", default=800, show_default=True, help="How many of them to train on; all take long.")
@click.option("--threads", default=2, show_default=True)
def main(exemplars: int, threads: int) -> None:
    """Prints the table."""
    task = Task.read(exemplars, threads)
    click.echo(f"{len(task.rows)} rows, {len(task.fits())} folds, one seed")
    click.echo(table({"Trainer, defaults": task.round(Peer), "ours": task.round(Transformer)}, "Trainer, defaults"))


if __name__ == "__main__":
    main()
