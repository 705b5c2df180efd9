"""The real pipeline: real graph, encoder and articles, in a repository of its own, with one seed and one epoch."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.conftest import ROOT, THEMES
from tests.figures import OTHER_KERNELS, differences, read_figures
from tests.project import Project

pytestmark = pytest.mark.slow

SKIN = ("pipeline.commands", "pipeline.__main__")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline, run once from nothing."""
    project = Project.copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("spy"))
    project.commit()
    assert len(project.repro()) == 4 + 5 + 2 + 2 + 5 + 2 + 1 + 1 + 1 + 1
    project.commit()
    return project


@pytest.fixture
def fresh(project: Project) -> Project:
    """The project as it was committed after its first run."""
    project.restore()
    return project


def read(project: Project, name: str) -> object:
    return json.loads((project.folder / name).read_text())


def test_the_pipeline_makes_what_it_promises(project: Project) -> None:
    metrics: dict[str, dict[str, object]] = {}
    for path in (project.folder / "reports/metrics").glob("*.json"):
        metrics |= json.loads(path.read_text())
    assert sorted(metrics) == ["majority", "rules", "tfidf", "transformer", "zeroshot"]
    assert {numbers.pop("measured") for numbers in metrics.values()} == {", ".join(THEMES)}
    assert all(len(numbers) <= 20 for numbers in metrics.values())
    assert {"f1_macro/rules_as_teacher", "f1_macro/transfer_from_ru"} <= set(metrics["transformer"])
    for model in ("tfidf", "transformer", "compact", "cascade"):
        assert (project.folder / "models" / model / "manifest.json").is_file()
    sizes = {
        m: sum(p.stat().st_size for p in (project.folder / "models" / m).rglob("*")) for m in ("transformer", "compact")
    }
    assert sizes["compact"] < 150e6 < sizes["transformer"]
    files = {path for path in project.folder.glob("models/**/*") if path.suffix in (".pkl", ".bin", ".pt", ".joblib")}
    # Nothing that could be a pickle: the one .bin holds the bare numbers of the OpenVINO graph beside it.
    graphs = {project.folder / "models" / model / "openvino_model.bin" for model in ("compact", "cascade")}
    assert files == graphs
    assert all(path.with_suffix(".xml").is_file() for path in graphs)
    verdicts = read(project, "reports/verdicts.json")
    assert isinstance(verdicts, list)
    assert {v["verdict"] for v in verdicts} <= {"better", "worse", "within noise"}


def test_people_serve_the_compact_form_which_the_transformers_run_logs_beside_it(project: Project) -> None:
    """One run, two logged models; the champion is the compact one, with the gate's figures on its page."""
    with closing(sqlite3.connect(project.folder / "mlflow.db")) as store:
        logged = store.execute(
            "select m.name, m.model_id from logged_models m join runs r on r.run_uuid = m.source_run_id"
            " where r.name like 'transformer-%' and r.lifecycle_stage = 'active'"
        ).fetchall()
        ((source, name),) = store.execute(
            "select v.source, t.value from registered_model_aliases a join model_versions v using (name, version)"
            " join model_version_tags t using (name, version) where a.alias = 'champion' and t.key = 'name'"
        ).fetchall()
        compact = dict(logged)["compact"]
        gate = store.execute(
            f"select metric_name, metric_value from logged_model_metrics where model_id = '{compact}'"
        ).fetchall()
    assert sorted(kind for kind, _ in logged) == ["compact", "transformer"]
    assert source == f"models:/{compact}"
    (taken,) = [*json.loads((project.folder / "reports/export.json").read_text()).values()][-1:]
    assert dict(gate) == {f"gate/{key}_{lang}": value for lang, found in taken.items() for key, value in found.items()}
    place = project.folder / "mlruns/models" / compact / "artifacts"
    cached = {path.stat().st_ino for path in (project.folder / ".dvc/cache").rglob("*") if path.is_file()}
    assert (place / "artifacts/compact/openvino_model.bin").stat().st_ino in cached  # a link: it takes no room
    needed = (place / "requirements.txt").read_text()
    assert "openvino==" in needed
    assert not [gone for gone in ("torch", "transformers", "scikit-learn", "mlflow==") if gone in needed]
    for out, model in (("served", "models:/taqyryp@champion"), ("local", "models/compact")):
        project.run("taqyryp", "classify", "seeds/articles", "--model", model, "-o", f"{out}.jsonl")
    served, local = ((project.folder / f"{out}.jsonl").read_bytes() for out in ("served", "local"))
    assert served == local
    assert f'"model":"{name}"'.encode() in served


def test_no_derived_file_would_enter_git(project: Project) -> None:
    tracked = project.run("git", "ls-files").splitlines()
    kept = ["data/.gitignore", "models/.gitignore", "models/README.md"]
    assert [name for name in tracked if name.startswith(("models/", "data/"))] == kept
    assert {"dvc.lock", "reports/metrics/tfidf.json", "reports/comparison.md"} <= set(tracked)


def test_each_stage_declares_the_modules_it_runs(project: Project) -> None:
    """What the processes had loaded, but for the command line and packages that hold nothing, dvc.lock covers."""
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    loaded = [json.loads(line) for line in (project.spy / "loaded.jsonl").read_text().splitlines()]
    for name, stage in lock.items():
        arguments = stage["cmd"].split()[3:]
        (modules, *_) = [entry["modules"] for entry in loaded if entry["argv"][1:] == arguments]
        files = [path for module in modules if not module.startswith(SKIN) and (path := _file(module))]
        declared = [Path(dep["path"]) for dep in stage["deps"]]
        assert not [path for path in files if not any(path.is_relative_to(dep) for dep in declared)], name


def _file(module: str) -> Path | None:
    """The module's file; none for a package, which holds a docstring alone (tests/test_project.py)."""
    path = Path(module.replace(".", "/"))
    return None if (ROOT / path).is_dir() else path.with_suffix(".py")


def test_repeating_runs_nothing(fresh: Project) -> None:
    assert fresh.repro() == []


def test_forcing_changes_no_byte_of_the_lock(fresh: Project) -> None:
    before = (fresh.folder / "dvc.lock").read_bytes()
    forced = ["paragraphs", "label", "split", "encoder", "crossval@zeroshot", "crossval@tfidf"]
    forced += ["train@tfidf", "train@transformer", "evaluate@transformer", "compare"]
    assert fresh.repro("--force", "--single-item", *forced) == forced
    assert (fresh.folder / "dvc.lock").read_bytes() == before


def test_another_processor_gives_the_same_figures(fresh: Project) -> None:
    """Of what is not fine-tuned; `python -m tests.figures --other-kernels` repeats all, which takes half an hour."""
    models = ["zeroshot", "tfidf"]
    before = read_figures(lambda name: (fresh.folder / name).read_bytes(), models)
    stages = [f"{stage}@{model}" for model in models for stage in ("crossval", "evaluate")]
    usual, fresh.environment = fresh.environment, fresh.environment | OTHER_KERNELS
    assert fresh.repro("--force", "--single-item", *stages) == stages
    fresh.environment = usual
    made = read_figures(lambda name: (fresh.folder / name).read_bytes(), models)
    assert list(differences(before, made)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "ran"),
    [
        ("configs/tfidf.yaml", "C: 10", "C: 5", "crossval@tfidf"),
        ("pipeline/classifiers/tfidf.py", "Baseline: ", "The baseline: ", "crossval@tfidf"),
        ("configs/themes.yaml", "en: Education}", "en: Schooling}", "compare"),
    ],
)
def test_what_is_not_the_transformers_re_runs_nothing_of_it(
    file: str, old: str, new: str, ran: str, fresh: Project
) -> None:
    fresh.replace(file, old, new)
    stages = fresh.repro()
    assert ran in stages
    assert not [stage for stage in stages if stage.endswith("@transformer")]


def test_another_choice_of_thresholds_repeats_no_cross_validation(fresh: Project) -> None:
    fresh.replace("configs/pipeline.yaml", "f1_tolerance: 0.01", "f1_tolerance: 0.2")
    stages = fresh.repro("thresholds@tfidf", "train@tfidf")
    assert stages == ["thresholds@tfidf", "train@tfidf"]


def test_an_edit_while_a_stage_runs_is_not_recorded(fresh: Project) -> None:
    """DVC would hash the edited file when the stage has ended, and say that all is up to date."""
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 0.5")
    lock = (fresh.folder / "dvc.lock").read_bytes()
    command = ["dvc", "repro", "--single-item", "crossval@tfidf"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=fresh.folder, env=fresh.environment, **options) as repro:
        while repro.poll() is None and not _fits(repro.pid):
            time.sleep(0.1)
        fresh.replace("configs/tfidf.yaml", "C: 0.5", "C: 20")
        printed, _ = repro.communicate(timeout=600)
    assert repro.returncode != 0
    assert "configs/tfidf.yaml: was changed while crossval@tfidf ran; nothing is written" in printed
    assert (fresh.folder / "dvc.lock").read_bytes() == lock
    assert fresh.repro("--single-item", "crossval@tfidf") == ["crossval@tfidf"]


def _fits(parent: int) -> bool:
    """Whether a process below this one has loaded scikit-learn, which it does once it has read its settings."""
    try:
        below = psutil.Process(parent).children(recursive=True)
        return any("/sklearn/" in part.path for process in below for part in process.memory_maps())
    except psutil.Error:  # one has just ended
        return False


def test_dvc_shows_metrics_plots_and_experiments(fresh: Project) -> None:
    fresh.run("dvc", "exp", "run", "-n", "softer", "-S", "configs/tfidf.yaml:C=0.1")
    (documented,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("dvc exp show")]
    table = fresh.run("env", "COLUMNS=400", *shlex.split(documented, comments=True))
    for column in ("[softer]", "tfidf.f1_macro", "transformer.f1_macro", " C"):
        assert column in table
    assert max(len(line.rstrip()) for line in table.splitlines()) <= 120
    assert "tfidf.f1_macro" in fresh.run("dvc", "metrics", "show")
    assert "tfidf." in fresh.run("dvc", "metrics", "diff", "HEAD")
    for command in ("show", "diff"):
        fresh.run("dvc", "plots", command, "--out", "drawn")
        page = (fresh.folder / "drawn/index.html").read_text()
        for picture in ("precision-recall", "reliability", "risk-coverage", "themes", "confusion", "loss", "cascade"):
            assert picture in page


def test_metrics_of_one_model_change_with_its_stages_alone(fresh: Project) -> None:
    fresh.replace("configs/tfidf.yaml", "C: 10", "C: 2")
    assert fresh.repro("evaluate@tfidf") == ["crossval@tfidf", "evaluate@tfidf"]
    changed = json.loads(fresh.run("dvc", "metrics", "diff", "--json"))
    assert list(changed) == ["reports/metrics/tfidf.json"]
    assert "tfidf.f1_macro" in changed["reports/metrics/tfidf.json"]


def test_a_copy_of_dvcs_own_says_what_git_has_to_know(fresh: Project) -> None:
    (fresh.folder / "seeds/articles/005_new.txt").write_text(ARTICLE)
    rows = fresh.run("taqyryp", "annotate", "seeds/articles/005_new.txt").replace('"themes":null', '"themes":[]')
    with (fresh.folder / "seeds/annotations.jsonl").open("a") as file:
        file.write(rows)
    printed = fresh.run("dvc", "exp", "run", "--temp", "label", fails=True)
    assert "article '005_new' is not among the articles; restore it or remove its rows; " in printed
    assert "`dvc exp run --temp` and the queue see it once you `git add` it" in printed
    fresh.run("git", "add", "seeds/articles/005_new.txt")
    fresh.run("dvc", "exp", "run", "--temp", "label")


def test_all_models_classify_as_a_user_would(fresh: Project) -> None:
    for model in ("tfidf", "transformer", "compact", "cascade"):
        fresh.run("taqyryp", "classify", "seeds/articles", "--model", f"models/{model}", "-o", f"{model}.jsonl")
        rows = [json.loads(line) for line in (fresh.folder / f"{model}.jsonl").read_text().splitlines()]
        assert sum(row["status"] != "rejected" for row in rows) == 65
        (fresh.folder / f"{model}.jsonl").unlink()


OTHER_PROCESSORS = {
    "AVX-512 without bfloat16": ("AVX512_CORE_VNNI", []),
    "AVX-512 without VNNI": ("AVX512_CORE", []),
    "AVX2, emulated": ("AVX2", ["qemu-x86_64", "-cpu", "Haswell"]),
}


@pytest.mark.parametrize("processor", OTHER_PROCESSORS)
def test_the_compact_form_answers_alike_on_other_processors(processor: str, project: Project, tmp_path: Path) -> None:
    """Held back by oneDNN's variable, and emulated where qemu is installed; ten paragraphs take it a minute."""
    instructions, emulator = OTHER_PROCESSORS[processor]
    if emulator and not shutil.which(emulator[0]):
        pytest.skip("qemu-user is not installed")
    lines = (project.folder / "data/paragraphs.jsonl").read_text().splitlines()
    texts = [json.loads(line) for line in lines[:5] + lines[-5:]]
    asked = tmp_path / "ten.jsonl"
    asked.write_text("".join(json.dumps({"id": text["id"], "text": text["text"]}) + "\n" for text in texts))
    command = [sys.executable, "-m", "pipeline", "classify", str(asked), "--unit", "paragraph", "--workers", "1"]
    rows = []
    for way, isa, name in (([], "DEFAULT", "usual"), (emulator, instructions, "other")):
        out = tmp_path / f"{name}.jsonl"
        project.run("env", f"ONEDNN_MAX_CPU_ISA={isa}", *way, *command, "-o", str(out))
        rows.append([json.loads(line) for line in out.read_text().splitlines()])
    for usual, other in zip(*rows, strict=True):
        assert max(abs(usual["scores"][theme] - other["scores"][theme]) for theme in THEMES) < 0.05


ARTICLE = (
    "Ауыл мектептеріне жаңа мұғалімдер келді\n\n"
    "Облыстық білім басқармасының мәліметінше, биыл ауыл мектептеріне алпыс жас мұғалім орналасты.\n\n"
    "Читайте также\n\n"
    "Мемлекеттік қызметке орналасқысы келетіндер үшін ашық конкурс жарияланып, үміткерлер тест тапсырады.\n\n"
    "Синоптиктер ертең қар жауатынын айтады.\n"
)


def test_an_article_without_annotations_is_taught_by_rules(fresh: Project) -> None:
    (fresh.folder / "seeds/articles/005_new.txt").write_text(ARTICLE)
    fresh.repro("crossval@tfidf", "train@tfidf")
    rows = [json.loads(line) for line in (fresh.folder / "data/labelled.jsonl").read_text().splitlines()]
    ruled = [row for row in rows if row["provenance"] == "rule"]
    assert [row["article"] for row in ruled] == ["005_new"] * 4
    assert ruled[1]["targets"][0] > 0.8
    assert ruled[1]["weights"][0] > 0.2
    assert ruled[2]["targets"][2] > 0.8
    manifest = read(fresh, "models/tfidf/manifest.json")
    assert isinstance(manifest, dict)
    assert manifest["facts"]["training_rows"] == len([row for row in rows if any(row["weights"])])
    scored = {json.loads(line)["id"] for line in (fresh.folder / "data/oof/tfidf.jsonl").read_text().splitlines()}
    assert not [id_ for id_ in scored if id_.startswith("005_new")]


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        (
            "configs/tfidf.yaml",
            "sublinear_tf: true",
            "sublinear_tf: maybe",
            ["configs/tfidf.yaml: sublinear_tf", "maybe"],
        ),
        ("configs/themes.yaml", "prevention, ", "", ["names.prevention: not one of labels", "add or remove it"]),
        ("seeds/annotations.jsonl", '"themes":["education"]', '"themes":["educatoin"]', ["seeds/annotations.jsonl:"]),
    ],
)
def test_a_users_mistake_stops_the_pipeline_with_its_place(
    file: str, old: str, new: str, parts: list[str], fresh: Project
) -> None:
    fresh.replace(file, old, new)
    printed = fresh.run("dvc", "repro", "evaluate@tfidf", fails=True)
    assert "Traceback" not in printed
    for part in parts:
        assert part in printed


GERMAN = {
    "wetter": [
        "Am Wochenende regnet es im Norden, im Süden bleibt es trocken und warm.",
        "Die Temperaturen sinken in der Nacht auf fünf Grad, gegen Morgen kommt Nebel auf.",
        "Ein Sturm zieht über die Küste, der Wetterdienst warnt vor Böen.",
        "Der Schnee bleibt in den Bergen liegen, im Tal taut es bei Sonne.",
        "Nach Tagen der Hitze bringt ein Gewitter endlich Regen und Abkühlung.",
        "Für morgen sagt der Wetterdienst Wolken und leichten Wind voraus.",
    ],
    "sport": [
        "Die Mannschaft gewann das Spiel mit zwei Toren in der letzten Minute.",
        "Der Trainer lobte nach dem Sieg die Abwehr und den jungen Torwart.",
        "Beim Turnier in der Halle traten zwölf Vereine gegeneinander an.",
        "Die Läuferin holte Gold über zehn Kilometer und verbesserte ihre Bestzeit.",
        "Nach der Niederlage steht der Verein auf dem letzten Platz der Tabelle.",
        "Der Stürmer verletzte sich im Training und fällt für das Spiel aus.",
    ],
    "wirtschaft": [
        "Die Firma eröffnet ein neues Werk und stellt zweihundert Arbeiter ein.",
        "Die Preise für Strom und Gas stiegen im letzten Monat um drei Prozent.",
        "Die Bank senkt die Zinsen, der Kredit für Betriebe wird billiger.",
        "Der Umsatz des Handels wuchs, die Börse reagierte mit steigenden Kursen.",
        "Das Unternehmen meldet Verluste und streicht Stellen in der Verwaltung.",
        "Die Ausfuhr von Maschinen nahm zu, die Industrie hofft auf mehr Aufträge.",
    ],
}


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_other_themes_in_another_language_go_the_same_way(task: str, project: Project, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    with table.open("w") as file:
        for theme, texts in GERMAN.items():
            for number, text in enumerate(texts):
                row = {"id": f"{theme}-{number}", "article": f"a{number}", "language": "de", "text": text}
                file.write(json.dumps({**row, "themes": [theme]}) + "\n")
    themes, rules = tmp_path / "themes.yaml", tmp_path / "rules.yaml"
    themes.write_text(f"task: {task}\nlabels: [wetter, sport, wirtschaft]\n")
    rules.write_text("rules: []\n")
    files = {name: str(tmp_path / name) for name in ("labelled", "labels", "folds", "report")}
    settings = ["--settings", "configs/pipeline.yaml"]
    given = ["--labelled", files["labelled"], "--labels", files["labels"]]
    project.run(
        "taqyryp", "label", "--table", str(table), "--themes", str(themes), "--rules", str(rules), *settings,
        "--out", files["labelled"], "--labels", files["labels"], "--report", files["report"],
    )  # fmt: skip
    project.run("taqyryp", "split", "--labelled", files["labelled"], *settings, "--out", files["folds"])
    for model, least in (("tfidf", 0.3), ("transformer", 0.6)):
        made = {name: str(tmp_path / model / name) for name in ("scores", "curves")}
        thresholds = str(tmp_path / model / "thresholds")
        config = ["--model", model, "--config", f"configs/{model}.yaml", "--encoder", "models/encoder", *given]
        outs = [part for name, path in made.items() for part in (f"--{name}", path)]
        project.run("taqyryp", "crossval", *config, "--folds", files["folds"], *settings, *outs)
        project.run(
            "taqyryp", "thresholds", *given, "--folds", files["folds"], "--scores", made["scores"], *settings,
            "--out", thresholds,
        )  # fmt: skip
        project.run(
            "taqyryp", "evaluate", "--model", model, *given, "--folds", files["folds"], "--scores", made["scores"],
            "--curves", made["curves"], *settings, "--scored", str(tmp_path / model / "scored"),
            "--out", str(tmp_path / model / "report"),
        )  # fmt: skip
        report = json.loads((tmp_path / model / "report/scores.json").read_text())
        assert report["figures"]["f1_macro"] >= least, model
        out = tmp_path / model / "model"
        project.run(
            "taqyryp", "train", *config, "--thresholds", thresholds, "--boilerplate", "configs/boilerplate.yaml",
            *settings, "--out", str(out),
        )  # fmt: skip
        text = tmp_path / "neu.jsonl"
        text.write_text('{"id": "neu", "text": "Heute regnet es, morgen kommt Schnee und Wind."}\n')
        printed = project.run("taqyryp", "classify", str(text), "--unit", "paragraph", "--model", str(out), "-o", "-")
        row = json.loads(printed.splitlines()[0])
        assert set(row["scores"]) == set(GERMAN)
        if task == "single-label":
            assert len(row["themes"]) == 1
