"""Topics of SIB-200 by our two models and their peers, with 8 or 32 rows a topic and with all.

    python benchmarks/sib200.py FOLDER --out sib200.jsonl --table benchmarks/sib200.md

FOLDER holds SIB-200 as its authors publish it (github.com/dadelani/sib-200): `<language>/train.tsv` and `dev.tsv` with
the columns index_id, category, text. Its rows are put into five folds by `index_id`, so that parallel sentences stay
together; each is scored by models that saw neither it nor its translations. What a fit got right is appended to --out
at once: a run that was stopped goes on where it was. SetFit needs `pip install setfit==1.2.0`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from tqdm import tqdm

from pipeline.classifiers.base import Setup, model_class
from pipeline.core.processor import HAS_BFLOAT16
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.labelling.themes import ThemeSettings, read_labels
from pipeline.text.normalize import prepare

HERE = Path(__file__).parent
LANGUAGES = {"kk": "kaz_Cyrl", "ru": "rus_Cyrl"}
SHOTS = (8, 32, 0)
DRAWS = 3
FOLDS = 5
TOPICS = HERE / "sib200/transformer.yaml"

Predict = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Data:
    """Sentences by language, all in the order of `ids`; `topics` are columns of `labels`."""

    labels: Labels
    ids: np.ndarray
    topics: np.ndarray
    texts: dict[str, list[str]]


class Fit(msgspec.Struct, frozen=True):
    """A model to be fitted on `shots` rows a topic (0: all) of a language, the held-out fold excepted."""

    method: str
    language: str
    shots: int
    fold: int
    draw: int


class Result(msgspec.Struct, frozen=True):
    """The ids of the fold's rows, and by language whether the topic of each came out right."""

    fit: Fit
    rows: list[int]
    right: dict[str, list[bool]]


def read(folder: Path) -> Data:
    """SIB-200's train and dev rows of the languages that are scored, in the order of their ids."""
    place = HERE / "sib200/themes.yaml"
    labels = read_labels(load_settings(place, ThemeSettings), place)
    rows: dict[str, dict[int, tuple[str, str]]] = {}
    for language, name in LANGUAGES.items():
        rows[language] = {}
        for part in ("train", "dev"):
            with (folder / name / f"{part}.tsv").open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    rows[language][int(row["index_id"])] = row["category"], prepare(row["text"])
    first = rows["kk"]
    ids = sorted(first)
    topics = np.array([labels.names.index(first[id_][0]) for id_ in ids])
    return Data(labels, np.array(ids), topics, {name: [part[id_][1] for id_ in ids] for name, part in rows.items()})


def plan(methods: Sequence[str]) -> Iterator[Fit]:
    """Every fit, the cheap ones first."""
    for shots in SHOTS:
        for method in methods:
            for language in LANGUAGES:
                for draw in range(_draws(method, shots)):
                    for fold in range(FOLDS):
                        yield Fit(method, language, shots, fold, draw)


def _draws(method: str, shots: int) -> int:
    """With all rows draws differ by the seed alone: one draw for a model without one, and for SetFit, which is slow."""
    return DRAWS if shots or method == "transformer" else 1


def drawn(topics: np.ndarray, training: np.ndarray, shots: int, draw: int) -> np.ndarray:
    """`shots` rows of each topic among the training rows, the same for every method and language."""
    rng = np.random.default_rng([draw, len(training)])
    each = [rng.permutation(training[topics[training] == topic])[:shots] for topic in np.unique(topics)]
    return np.sort(np.concatenate(each))


def ours(name: str, config: Path) -> Callable[..., Predict]:
    """TF-IDF or the transformer, as the pipeline trains it."""

    def fit(
        texts: Sequence[str], topics: np.ndarray, labels: Labels, encoder: Path, threads: int, seed: int
    ) -> Predict:
        model = model_class(name)(Setup(labels, config, encoder, threads, seed))
        model.fit(
            [_row(number, text, topic, labels) for number, (text, topic) in enumerate(zip(texts, topics, strict=True))]
        )
        return lambda several: model.predict(several).argmax(axis=1)

    return fit


def _row(number: int, text: str, topic: int, labels: Labels) -> LabelledRow:
    width = len(labels.names)
    return LabelledRow(
        id=str(number),
        article=str(number),
        language="",
        kind="body",
        text=text,
        targets=tuple(float(column == topic) for column in range(width)),
        weights=(1.0,) * width,
        rule_targets=(0.0,) * width,
        rule_weights=(0.0,) * width,
        provenance="gold",
    )


def frozen(texts: Sequence[str], topics: np.ndarray, labels: Labels, encoder: Path, threads: int, seed: int) -> Predict:
    """A logistic regression on the sentence vectors of the untouched encoder."""
    vectors = _embedder(encoder, threads)
    regression = LogisticRegression(max_iter=1000)  # C of 10 to 1000, or standardised vectors: up to three points less
    regression.fit(vectors(texts), topics)
    return lambda several: regression.predict(vectors(several))


_KNOWN: dict[str, np.ndarray] = {}


def _embedder(encoder: Path, threads: int) -> Callable[[Sequence[str]], np.ndarray]:
    import torch

    from pipeline.classifiers.encoder import FrozenLayers, load_body, pool
    from pipeline.classifiers.windows import WindowTokenizer
    from pipeline.core.manifest import check_manifest

    torch.set_num_threads(threads)
    facts = check_manifest(encoder, "encoder").facts

    def embed(texts: Sequence[str]) -> np.ndarray:
        missing = sorted({text for text in texts if text not in _KNOWN})
        if missing:
            tokenizer = WindowTokenizer(encoder, facts["prefix"], facts["max_tokens"])
            lower = FrozenLayers(load_body(encoder), tokenizer.pad, torch.device("cpu"), remembers=False)
            states = lower.states(tokenizer(missing).ids)
            for text, state in zip(missing, states, strict=True):
                _KNOWN[text] = pool(state[None], torch.ones(1, len(state)), facts["pooling"])[0].numpy()
        return np.stack([_KNOWN[text] for text in texts])

    return embed


def setfit(texts: Sequence[str], topics: np.ndarray, labels: Labels, encoder: Path, threads: int, seed: int) -> Predict:
    """SetFit on the same encoder: contrastive pairs, then a logistic regression. The layers that we freeze are frozen.

    As fast as it gets on a CPU: bfloat16 where the hardware has it, and no fused attention. Ten pairs a row and at most
    3,200 in all (SetFit's own choice is forty a row): more would take hours on two cores.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments

    from pipeline.classifiers.transformer import TransformerSettings

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    word = models.Transformer(str(encoder), max_seq_length=256, model_args={"attn_implementation": "eager"})
    word.auto_model.embeddings.requires_grad_(False)
    for layer in word.auto_model.encoder.layer[: load_settings(TOPICS, TransformerSettings).frozen_layers]:
        layer.requires_grad_(False)
    body = SentenceTransformer(modules=[word, models.Pooling(word.get_word_embedding_dimension()), models.Normalize()])
    model = SetFitModel(body, LogisticRegression(max_iter=1000))
    table = Dataset.from_dict({"text": [f"passage: {text}" for text in texts], "label": topics.tolist()})
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=16,
            num_iterations=5,
            max_steps=min(200, len(texts) * 10 // 16),
            seed=seed,
            report_to="none",
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BFLOAT16):
            Trainer(model, arguments, train_dataset=table).train()
    return lambda several: np.asarray(model.predict([f"passage: {text}" for text in several]))


METHODS: dict[str, Callable[..., Predict]] = {
    "tfidf": ours("tfidf", HERE.parent / "configs/tfidf.yaml"),
    "frozen": frozen,
    "transformer": ours("transformer", TOPICS),
    "setfit": setfit,
}


def run(data: Data, fit: Fit, encoder: Path, threads: int) -> Result:
    """Fits and scores in every language, those that were not learnt included."""
    training, held_out = list(KFold(FOLDS, shuffle=True, random_state=0).split(data.ids))[fit.fold]
    chosen = drawn(data.topics, training, fit.shots, fit.draw) if fit.shots else training
    texts = [data.texts[fit.language][index] for index in chosen]
    predict = METHODS[fit.method](texts, data.topics[chosen], data.labels, encoder, threads, fit.draw)
    right = {
        language: (predict([several[index] for index in held_out]) == data.topics[held_out]).tolist()
        for language, several in data.texts.items()
    }
    return Result(fit, data.ids[held_out].tolist(), right)


PAGE = """# Topics of SIB-200

Accuracy on 800 Kazakh and 800 Russian sentences (train and dev of SIB-200, seven topics), in five folds by sentence, so
that none is scored by a model that saw it or its translation. 90% intervals from resampling sentences; 8 and 32 rows a
topic are means of three draws, fine-tuning on all rows of three seeds. Same encoder and same rows for all; fine-tuning
and SetFit train the same layers. SetFit is slow, so it gets at most 3,200 pairs, and one seed with all rows. There
3,200 pairs are five a row where its own default is forty: its training is cut short.

    python benchmarks/sib200.py FOLDER --out sib200.jsonl

"""


def table(results: Sequence[Result]) -> str:
    """Accuracy by method, language learnt, language scored and rows a topic: mean, and a 90% interval over sentences.

    A sentence counts with the mean over its draws, and the interval comes from resampling sentences.
    """
    cells: dict[tuple[str, str, str], dict[int, dict[int, list[bool]]]] = {}
    for result in results:
        for language, right in result.right.items():
            rows = cells.setdefault((result.fit.method, result.fit.language, language), {})
            for id_, value in zip(result.rows, right, strict=True):
                rows.setdefault(result.fit.shots, {}).setdefault(id_, []).append(value)
    lines = [
        "| method | trained on | scored on | 8 a topic | 32 a topic | all rows |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for names in sorted(cells, key=lambda names: (list(METHODS).index(names[0]), names[2], names[1])):
        found = [_accuracy(cells[names].get(shots, {})) for shots in SHOTS]
        lines.append(f"| {' | '.join([*names, *found])} |")
    return "\n".join(lines) + "\n"


def _accuracy(cell: dict[int, list[bool]]) -> str:
    if not cell:
        return "–"
    shares = np.array([np.mean(values) for values in cell.values()])
    rng = np.random.default_rng(0)
    means = shares[rng.integers(len(shares), size=(2000, len(shares)))].mean(axis=1)
    low, high = np.quantile(means, [0.05, 0.95])
    return f"{shares.mean():.3f} ({low:.3f} … {high:.3f})"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--method", "methods", multiple=True, type=click.Choice(list(METHODS)), default=list(METHODS))
@click.option("--encoder", type=click.Path(path_type=Path), default=Path("models/encoder"))
@click.option("--threads", default=2)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="What each fit got right (JSONL).")
@click.option("--table", "page", type=click.Path(path_type=Path), default=HERE / "sib200.md")
def main(folder: Path, methods: Sequence[str], encoder: Path, threads: int, out: Path, page: Path) -> None:
    """Fits what is not fitted yet, then writes the table."""
    data = read(folder)
    lines = out.read_bytes().splitlines() if out.exists() else []
    results = [msgspec.json.decode(line, type=Result) for line in lines]
    done = {result.fit for result in results}
    for fit in tqdm([fit for fit in plan(methods) if fit not in done], unit="fit", disable=None):
        results.append(run(data, fit, encoder, threads))
        with out.open("ab") as file:
            file.write(msgspec.json.encode(results[-1]) + b"\n")
    page.write_text(PAGE + table(results), encoding="utf-8")


if __name__ == "__main__":
    main()
