"""Time and memory of the whole command against the size of the input: a straight line, and a flat one.

    python benchmarks/growth.py

Each input holds different paragraphs, put together from sentences of the project's own texts. Memory is that of all
processes of the command together, looked at ten times a second.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
import numpy as np
import psutil

from pipeline.inference.batch.shards import cut_shards
from pipeline.inference.readers.files import find_sources
from pipeline.inference.readers.formats import read_records
from pipeline.inference.readers.schema import Fields
from pipeline.inference.readers.sources import ReadMeter

ROOT = Path(__file__).parent.parent
SIZES = {"tfidf": (100, 1_000, 10_000, 100_000), "compact": (100, 1_000, 5_000, 20_000)}
CACHED = "tfidf"
PICTURE = ROOT / "benchmarks/growth.png"
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Point:
    """One run: paragraphs, seconds, and at most so many MB in all processes."""

    paragraphs: int
    seconds: float
    memory: float


def texts(count: int, seed: int = 0) -> Iterator[str]:
    """Different paragraphs of one to three sentences from seeds/exemplars.jsonl, of the length of real ones."""
    lines = [msgspec.json.decode(line) for line in (ROOT / "seeds/exemplars.jsonl").open("rb")]
    sentences: dict[str, list[str]] = {}
    for line in lines:
        sentences.setdefault(line["language"], []).extend(_SENTENCES.split(line["text"]))
    chance, seen = random.Random(seed), set[str]()
    while len(seen) < count:
        several = sentences[chance.choice(["kk", "ru"])]
        text = " ".join(chance.sample(several, chance.choice([2, 3, 4])))
        if text not in seen:
            seen.add(text)
            yield text


def written(count: int, folder: Path) -> Path:
    """A file of so many paragraphs, made once."""
    rows = folder / f"{count}.jsonl"
    if not rows.exists():
        found = enumerate(texts(count))
        rows.write_bytes(b"\n".join(msgspec.json.encode({"id": n, "text": text}) for n, text in found))
    return rows


def run(model: str, count: int, folder: Path, cache: Path | None = None) -> Point:
    """The command over so many paragraphs, from its start to its end."""
    rows, out = written(count, folder), folder / f"{count}-{model}.out.jsonl"
    line = [sys.executable, "-m", "pipeline", "classify", str(rows), "--unit", "paragraph", "-o", str(out)]
    line += ["--model", str(ROOT / "models" / model), *(["--cache", str(cache)] if cache else [])]
    began, memory = time.perf_counter(), 0.0
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        memory = max(memory, _memory(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{model}: the command failed on {count} paragraphs")
    out.unlink()
    return Point(count, seconds, memory)


def _memory(pid: int) -> float:
    """MB in use by a process and all it has started; what they share counts in each."""
    try:
        parent = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True))) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def line(points: Sequence[Point]) -> tuple[float, float]:
    """Seconds before the first paragraph, and seconds a paragraph: least squares on relative errors."""
    sizes = np.array([point.paragraphs for point in points])
    seconds = np.array([point.seconds for point in points])
    start, slope = np.linalg.lstsq(np.stack([np.ones_like(sizes), sizes], 1) / seconds[:, None], np.ones(len(sizes)))[0]
    return float(start), float(slope)


def measured(sizes: dict[str, tuple[int, ...]]) -> dict[str, list[Point]]:
    """Each model at each size, once; TF-IDF also over text that its cache knows."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = {model: [run(model, count, folder) for count in counts] for model, counts in sizes.items()}
        if CACHED in sizes:
            run(CACHED, max(sizes[CACHED]), folder, folder / "cache")  # the smaller are the beginning of the largest
            found[f"{CACHED}, all in its cache"] = [
                run(CACHED, count, folder, folder / "cache") for count in sizes[CACHED]
            ]
        return found


def handed_out(count: int = 20_000) -> float:
    """Paragraphs a second that one process reads and cuts into parts: what the workers can be fed with."""
    with TemporaryDirectory() as folder:
        rows, meter = written(count, Path(folder)), ReadMeter()
        began = time.perf_counter()
        for _ in cut_shards(read_records(find_sources([rows], None, meter), None, Fields(), None), b"", meter):
            pass
        return count / (time.perf_counter() - began)


def table(found: dict[str, list[Point]]) -> str:
    """One row a run, and how far it lies from the line."""
    lines = ["| model | paragraphs | seconds | off the line | MB |", "| --- | ---: | ---: | ---: | ---: |"]
    for model, points in found.items():
        start, slope = line(points)
        for point in points:
            off = point.seconds / (start + slope * point.paragraphs) - 1
            lines.append(
                f"| {model} | {point.paragraphs:,} | {point.seconds:,.1f} | {off:+.0%} | {point.memory:,.0f} |"
            )
    coefficients = [f"{m}: {line(p)[0]:.1f} s, then {1 / line(p)[1]:,.0f} paragraphs/s" for m, p in found.items()]
    return "\n".join([*lines, "", "; ".join(coefficients) + "."])


def draw(found: dict[str, list[Point]], path: Path) -> None:
    """Time and memory, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for model, points in found.items():
        start, slope = line(points)
        sizes = [point.paragraphs for point in points]
        grid = np.geomspace(sizes[0], sizes[-1], 50)
        (dots,) = left.loglog(sizes, [point.seconds for point in points], "o", label=model)
        left.loglog(grid, start + slope * grid, color=dots.get_color(), linewidth=1)
        right.semilogx(sizes, [point.memory for point in points], "o-", label=model)
    left.set(xlabel="paragraphs", ylabel="seconds", title="Time: start, and so much a paragraph")
    right.set(xlabel="paragraphs", ylabel="MB", title="Memory of all processes", ylim=(0, None))
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


@click.command()
@click.option("--sizes", multiple=True, metavar="MODEL=N,N", help="Instead of the usual ones, e.g. compact=100,100000.")
def main(sizes: tuple[str, ...]) -> None:
    """Prints the table and draws the plot."""
    asked = dict(each.split("=") for each in sizes)
    wanted = {model: tuple(map(int, counts.split(","))) for model, counts in asked.items()}
    found = measured(wanted or SIZES)
    draw(found, PICTURE)
    click.echo(table(found))


if __name__ == "__main__":
    main()
