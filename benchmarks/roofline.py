"""How near inference and training come to what the machine can multiply.

    python benchmarks/roofline.py

The limit is the rate of large matrix products in torch, in each precision. What a paragraph needs is counted: two
operations for each weight of a layer and token, and attention's products; pooling, norms and gelu don't count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import torch

ROOT = Path(__file__).parent.parent
SIZE = 2048
SECONDS = 2.0


def rates(threads: int) -> dict[str, float]:
    """Operations per second of a product of large square matrices, by precision."""
    torch.set_num_threads(threads)
    wide = torch.randn(SIZE, SIZE)
    half = wide.bfloat16()
    small = torch.randint(-127, 127, (SIZE, SIZE), dtype=torch.int8)
    products = {"float32": lambda: wide @ wide, "bfloat16": lambda: half @ half}
    products["int8"] = lambda: torch._int_mm(small, small)
    return {name: 2 * SIZE**3 * _per_second(product) for name, product in products.items()}


def _per_second(work: Callable[[], object]) -> float:
    work()
    began, times = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        work()
        times += 1
    return times / (time.perf_counter() - began)


def operations(folder: Path, lengths: Sequence[int]) -> float:
    """Of a forward pass of a BERT-like encoder, mean over windows of these lengths (tokens)."""
    config = json.loads((folder / "config.json").read_text())
    layers, width, inner = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    weights = 4 * width * width + 2 * width * inner
    each = [layers * (2 * weights * length + 4 * length * length * width) for length in lengths]
    return sum(each) / len(each)


def lengths(folder: Path, texts: Sequence[str]) -> list[int]:
    """Tokens of each text's windows, as the models read them."""
    from pipeline.classifiers.windows import WindowTokenizer

    windows = WindowTokenizer(folder, "passage: ", 512)
    return [len(window) for window in windows(texts).ids]


def table(limits: dict[str, float], needed: float, found: dict[str, float]) -> str:
    """The limit by precision, and for each way its share of every limit."""
    lines = ["| | GFLOP/s | " + " | ".join(f"of {name}" for name in limits) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(limits))
    for name, limit in limits.items():
        lines.append(f"| matrix product, {name} | {limit / 1e9:,.0f} |" + " |" * len(limits))
    for name, per_second in found.items():
        done = per_second * needed
        shares = " | ".join(f"{done / limit:.0%}" for limit in limits.values())
        lines.append(f"| {name} | {done / 1e9:,.0f} | {shares} |")
    return "\n".join([*lines, "", f"A paragraph needs {needed / 1e9:.2f} GFLOP."])


@click.command()
@click.option("--threads", default=2, show_default=True)
def main(threads: int) -> None:
    """Prints the limits alone; `make bench` sets the measured rates beside them."""
    for name, rate in rates(threads).items():
        click.echo(f"{name}: {rate / 1e9:,.0f} GFLOP/s")


if __name__ == "__main__":
    main()
