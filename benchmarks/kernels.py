"""Whether another processor's kernels give the same figures, by a run of the pipeline from nothing.

    make kernels
    python benchmarks/kernels.py OTHER_CHECKOUT     # compares with what was made there, and runs nothing

What is not fine-tuned has to print the same figures; the fine-tuned model's macro-F1 may move by its spread over seeds;
who is better beyond noise has to stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parent.parent
OTHER_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",  # below that OpenVINO refuses where the processor has more
    "OPENBLAS_CORETYPE": "Haswell",
}
"""What makes torch and OpenBLAS compute as with AVX2 alone, and oneDNN and OpenVINO as without bfloat16 and VNNI."""


def differences(here: Path, there: Path) -> Iterator[str]:
    """What the `reports/` of two checkouts say differently and should not; nothing if they are alike."""
    old, new = _read(here, "metrics.json"), _read(there, "metrics.json")
    for model, figures in old.items():
        spread = figures["f1_macro_seed_std"]
        moved = abs(figures["f1_macro"] - new[model]["f1_macro"])
        if spread and moved > spread:
            yield f"{model}: macro-F1 {figures['f1_macro']} and {new[model]['f1_macro']}, over seeds ± {spread}"
        elif not spread:
            for name in sorted({*figures, *new[model]}):
                if figures.get(name) != new[model].get(name):
                    yield f"{model}: {name} {figures.get(name)} and {new[model].get(name)}"
    for first, second in zip(_read(here, "verdicts.json"), _read(there, "verdicts.json"), strict=True):
        if first["verdict"] != second["verdict"]:
            yield f"{first['first']} against {first['second']}: {first['verdict']} and {second['verdict']}"


def _read(checkout: Path, name: str) -> Any:
    return json.loads((checkout / "reports" / name).read_text())


def repeated(folder: Path) -> Path:
    """A clone of what is committed, in which the pipeline has run with `OTHER_KERNELS`."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    subprocess.run(["dvc", "repro"], check=True, cwd=folder, env=os.environ | OTHER_KERNELS)
    return folder


@click.command()
@click.argument("other", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(other: Path | None) -> None:
    """Prints what differs, and fails if anything does."""
    with tempfile.TemporaryDirectory() as folder:
        there = other or repeated(Path(folder) / "clone")
        found = list(differences(ROOT, there))
        macro = {model: figures["f1_macro"] for model, figures in _read(there, "metrics.json").items()}
    click.echo("Macro-F1 there: " + ", ".join(f"{model} {value}" for model, value in macro.items()))
    click.echo("\n".join(found) or "the same figures")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
