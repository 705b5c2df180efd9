"""The stages of the pipeline over a labelled table, in a folder of their own: for `fit`.

The files there are the pipeline's under the same names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pipeline.core.errors import UserError
from pipeline.core.inputs import PACKAGE
from pipeline.core.io import Say, read_json, read_jsonl, write_jsonl, write_text
from pipeline.core.manifest import MANIFEST, check_manifest
from pipeline.core.schemas import FoldRow, LabelledRow
from pipeline.core.settings import Count, load_section, load_settings
from pipeline.evaluation.compare import run_compare
from pipeline.evaluation.evaluate import run_evaluate
from pipeline.evaluation.thresholds import run_thresholds
from pipeline.labelling.folds import run_split
from pipeline.labelling.label import run_label
from pipeline.labelling.tables import check_rows, check_variety, numbered_rows, table_themes
from pipeline.labelling.themes import ThemeSettings, read_labels
from pipeline.training.crossval import CrossvalSettings, run_crossval
from pipeline.training.fit_outputs import PAGE, by_language, figures_line, split_line
from pipeline.training.train import run_train

CONFIGS = PACKAGE / "configs"
ENCODER = Path("models/encoder")
"""Where `dvc repro` leaves it."""


@dataclass(frozen=True)
class FitJob:
    """The stages over the files of `folder`.

    Settings are those of `configs`, or of the package where a file is missing there.
    """

    folder: Path
    table: Path
    themes: Path | None
    rules: Path | None
    configs: Path
    encoder: Path | None
    say: Say

    def label(self, columns: Mapping[str, str]) -> None:
        """The table, checked, becomes training rows; its themes are those of the file, or its own."""
        with self._step("label") as found:
            numbered = numbered_rows(self.table, columns, self.say)
            rows = [row for _, row in numbered]
            chosen = load_settings(self.themes, ThemeSettings) if self.themes else table_themes(self.table, rows)
            labels = read_labels(chosen, self.themes or self.table)
            check_variety(self.table, check_rows(self.table, numbered, labels))
            write_jsonl(self.folder / "data/table.jsonl", rows)
            self._write_yaml("reports/themes.yaml", msgspec.to_builtins(chosen))
            run_label(
                themes=self.themes or self.folder / "reports/themes.yaml",
                rules=self.rules or self._write_yaml("configs/rules.yaml", {"rules": []}),
                settings=self._config("pipeline"),
                out=self.folder / "data/labelled.jsonl",
                labels=self.folder / "data/labels.json",
                report=self.folder / "reports/labelling.json",
                say=self.say,
                table=self.folder / "data/table.jsonl",
            )
            none = sum(row.themes == () for row in rows)
            found += [f"{len(rows):,} rows ({by_language(self.rows)})", f"{len(labels.names)} themes, {labels.task}"]
            found += [f"{none:,} rows have no theme"] if none else []

    def split(self) -> None:
        """Articles are held out in folds, or as the table says."""
        with self._step("split") as found:
            out = self.folder / "data/folds.jsonl"
            run_split(self.folder / "data/labelled.jsonl", self._config("pipeline"), out)
            found.append(split_line(self.rows, self.folds))

    def measure(self, model: str) -> None:
        """Scores of held-out rows, thresholds, and the model's report."""
        given = self._given("labelled", "labels", "folds")
        scores, curves = (self.folder / f"data/{kind}/{model}.jsonl" for kind in ("oof", "curves"))
        with self._step(f"crossval {model}") as found:
            run_crossval(**self._model(model), **given, settings=self._settings, scores=scores, curves=curves)
            found.append(f"{len(read_jsonl(scores, dict[str, Any])):,} rows scored")
        thresholds = self.folder / f"data/thresholds/{model}.json"
        with self._step(f"evaluate {model}") as found:
            run_thresholds(**given, scores=scores, settings=self._config("pipeline"), out=thresholds)
            run_evaluate(
                model,
                **given,
                scores=scores,
                curves=curves,
                settings=self._config("pipeline"),
                scored=self.folder / f"data/scored/{model}.jsonl",
                out=self.folder / f"reports/{model}",
                metrics=self.folder / f"reports/metrics/{model}.json",
                say=lambda _: None,  # what is scarce, the label step has said
            )
            found.append(figures_line(self.folder / "reports", model))

    def compare(self, models: list[str]) -> None:
        """The page that people read."""
        reports = self.folder / "reports"
        run_compare(
            models,
            self.folder / "data/scored",
            reports,
            **self._given("labels"),
            themes=reports / "themes.yaml",
            settings=self._config("pipeline"),
            verdicts=reports / "verdicts.json",
            table=reports / PAGE,
        )

    def train(self, model: str) -> None:
        """The model to be kept."""
        with self._step(f"train {model}") as found:
            out = self.folder / f"models/{model}"
            run_train(
                **self._model(model),
                **self._given("labelled", "labels"),
                thresholds=self.folder / f"data/thresholds/{model}.json",
                boilerplate=self._config("boilerplate"),
                rules=self.rules,
                settings=self._settings,
                out=out,
            )
            found.append(f"{check_manifest(out, 'model').facts['training_rows']:,} rows learnt")

    def export(self) -> None:
        """The compact form of the transformer, if there is one that answers alike."""
        from pipeline.training.export import run_export

        with self._step("export") as found:
            out, report = self.folder / "models/compact", self.folder / "reports/export.json"
            settings, source = self._config("export"), self.folder / "models/transformer"
            try:
                run_export(source, **self._given("labelled"), challenge=None, settings=settings, out=out, report=report)
            except UserError as error:  # the transformer is there in any case
                found.append(f"no compact form: {error}")
            else:
                found.append(f"compact in the form {list(read_json(report, dict[str, Any]))[-1]}")

    @cached_property
    def rows(self) -> list[LabelledRow]:
        """The training rows."""
        return read_jsonl(self.folder / "data/labelled.jsonl", LabelledRow)

    @cached_property
    def folds(self) -> list[FoldRow]:
        """Where each article is held out."""
        return read_jsonl(self.folder / "data/folds.jsonl", FoldRow)

    @contextmanager
    def _step(self, name: str) -> Iterator[list[str]]:
        """Says what a step found, and how long it took."""
        began, found = time.monotonic(), list[str]()
        yield found
        self.say(f"{name}: {'; '.join(found)} ({time.monotonic() - began:.1f} s)")

    def _given(self, *names: str) -> dict[str, Any]:
        """Files that several stages read, by their option."""
        files = {"labelled": "data/labelled.jsonl", "labels": "data/labels.json", "folds": "data/folds.jsonl"}
        return {name: self.folder / files[name] for name in names}

    def _model(self, name: str) -> dict[str, Any]:
        """A model's name, configuration and encoder, by their options."""
        return {
            "model": name,
            "config": self._config(name),
            "encoder": self._found_encoder if name == "transformer" else None,
        }

    def _config(self, name: str) -> Path:
        own = self.configs / f"{name}.yaml"
        return own if own.is_file() else CONFIGS / own.name

    def _write_yaml(self, name: str, content: Any) -> Path:
        write_text(self.folder / name, yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
        return self.folder / name

    @cached_property
    def _settings(self) -> Path:
        """pipeline.yaml with the sections of fit.yaml in place of its own, both checked under their own names."""
        pipeline, fit = self._config("pipeline"), self._config("fit")
        load_section(pipeline, "threads", Count)
        load_section(fit, "crossval", CrossvalSettings)
        merged = load_settings(pipeline, dict[str, Any]) | load_settings(fit, dict[str, Any])
        return self._write_yaml("configs/pipeline.yaml", merged)

    @cached_property
    def _found_encoder(self) -> Path:
        """The encoder that was named, or that of a checkout, or one that is made for this run."""
        from pipeline.encoder.fetch import EncoderSettings, run_encoder

        if self.encoder:
            return self.encoder
        settings, made = self._config("pipeline"), self.folder / "models/encoder"
        wanted = msgspec.to_builtins(load_section(settings, "encoder", EncoderSettings))
        if (ENCODER / MANIFEST).is_file():
            facts = check_manifest(ENCODER, "encoder").facts
            if all(facts[name] == value for name, value in wanted.items() if value != ""):
                return ENCODER
        with self._step("encoder") as found:
            run_encoder(settings, made)
            found.append(f"{wanted['name']} {wanted['revision']}, made for this run alone")
        return made
