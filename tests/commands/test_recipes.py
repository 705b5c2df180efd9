"""docs/recipes.md, run as it stands there, one recipe after the other, to what the transformer makes of it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from tests.conftest import ROOT, THEMES
from tests.project import Project

pytestmark = pytest.mark.slow

RECIPES = dict(re.findall(r"## ([^\n]+)\n\n```bash\n(.+?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL))

EDITOR = """
import json, os, sys
from pathlib import Path
path = Path(sys.argv[1])
text = path.read_text()
if path.name == "rows.jsonl":
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        words = json.loads(os.environ["WORDS"])
        row["themes"] = [name for name in row["asked"] if any(word in row["text"].lower() for word in words[name])]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\\n" for row in rows)
for old, new in json.loads(os.environ["EDITS"]).get(str(path), []):
    assert old in text, (path, old)
    text = text.replace(old, new, 1)
path.write_text(text)
"""
WORDS = {
    "education": ["мектеп", "мұғалім", "мугалим", "студент"],
    "prevention": ["сыбайлас", "коррупц"],
    "integrity": ["сыбайлас", "коррупц"],
    "meritocracy": ["конкурс"],
    "digitalisation": ["портал"],
    "youth": ["жастар", "молод"],
    "space": [],
}
LETTERS = {"kk": [r"жас", "жастар*", "жасөспірім*"], "ru": ["молод*", "юнош*", "подрост*"]}
RULES = [
    {"name": "youth", "theme": "youth", "votes": "for", "confidence": 0.9, "any": LETTERS},
    {"name": "youth-none", "theme": "youth", "votes": "against", "confidence": 0.95, "unless": LETTERS},
]
NEWS = (
    "Ауыл мектептеріне жаңа мұғалімдер келді\n\n"
    "Облыстық білім басқармасының мәліметінше, биыл ауыл мектептеріне алпыс жас мұғалім орналасты.\n\n"
    "Мемлекеттік қызметке орналасқысы келетіндер үшін ашық конкурс жарияланып, үміткерлер тест тапсырады.\n\n"
    "Синоптиктер ертең қар жауатынын айтады.\n"
)
KYRGYZ = (
    "Айыл мектептерине жаңы мугалимдер келди\n\n"
    "Облустук билим берүү бөлүмүнүн маалыматы боюнча, быйыл айыл мектептерине алтымыш мугалим орношту.\n\n"
    "Мамлекеттик кызматка кирүүнү каалагандар үчүн ачык конкурс жарыяланып, талапкерлер тест тапшырат.\n\n"
    "Эртең кар жаайт деп синоптиктер билдирди.\n"
)
KYRGYZ_EXEMPLAR = {
    "language": "ky",
    "text": "Студенттер үчүн жаңы жатакана ачылды, ага үч жүз бала батат.",
    "asked": ["education"],
    "themes": ["education"],
    "kind": "positive",
    "by": "t",
}
Edits = dict[str, list[tuple[str, str]]]
THEMES_FILE = "configs/themes.yaml"
NEW_THEMES: Edits = {
    THEMES_FILE: [
        ("digitalisation]", "digitalisation, youth, space]"),
        ("descriptions:\n", "descriptions:\n  youth: {ru: Молодёжь и подростки.}\n  space: {ru: Космос.}\n"),
    ],
    "configs/rules.yaml": [
        ("rules:\n", "rules:\n" + "".join(f"  - {json.dumps(rule, ensure_ascii=False)}\n" for rule in RULES))
    ],
}
RENAMED: Edits = {
    THEMES_FILE: [
        ("labels: [education, prevention,", "labels: [education, integrity,"),
        ("was: {}", "was: {integrity: [prevention]}"),
        ("  prevention: {kk:", "  integrity: {kk:"),
        ("  prevention:\n", "  integrity:\n"),
    ]
}
RETIRED: Edits = {
    THEMES_FILE: [("meritocracy, digitalisation,", "meritocracy,"), ("retired: []", "retired: [digitalisation]")]
}
LANGUAGE: Edits = {"configs/pipeline.yaml": [("languages: [kk, ru, en]", "languages: [kk, ru, en, ky]")]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The pipeline with few exemplars, before its first run."""
    project = Project.copy(tmp_path_factory.mktemp("recipes"), tmp_path_factory.mktemp("spy"))
    exemplars = project.folder / "seeds/exemplars.jsonl"
    lines = exemplars.read_text().splitlines(keepends=True)
    kept = [line for line in lines if any(word in line.lower() for word in WORDS["youth"])] + lines[::15]
    exemplars.write_text("".join(dict.fromkeys(kept)))
    for setting in ("transfer", "rules_as_teacher"):
        project.replace("configs/pipeline.yaml", f"{setting}: true", f"{setting}: false")
    home = tmp_path_factory.mktemp("home")
    (home / "editor.py").write_text(EDITOR)
    (home / "news.txt").write_text(NEWS)
    (home / "article.txt").write_text(KYRGYZ)
    (home / "exemplars.jsonl").write_text(json.dumps(KYRGYZ_EXEMPLAR, ensure_ascii=False) + "\n")
    project.environment |= {
        "HOME": str(home),
        "EDITOR": f"{sys.executable} {home / 'editor.py'}",
        "WORDS": json.dumps(WORDS),
    }
    project.commit()
    return project


def follow(project: Project, recipe: str, edits: Edits | None = None, target: str = "") -> str:
    """Runs a recipe's commands; its editor makes the `edits` of a file. `dvc repro` goes no further than `target`."""
    project.environment["EDITS"] = json.dumps(edits or {}, ensure_ascii=False)
    commands = RECIPES[recipe].replace("dvc repro\n", f"dvc repro {target}\n")
    return project.run("bash", "-euc", commands)


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / name).read_text())


def test_the_five_recipes_run_to_their_end(project: Project) -> None:
    """Each to its figures, and the last one to the end of the graph, with all that the others did in it."""
    follow(project, "Add an article", target="evaluate@rules")
    scores = read(project, "reports/rules/scores.json")
    assert (scores["articles"], scores["rows"], scores["measured"]) == (6, 69, list(THEMES))

    printed = follow(project, "Add a theme", NEW_THEMES, "evaluate@rules evaluate@tfidf")
    report, scores = read(project, "reports/labelling.json"), read(project, "reports/tfidf/scores.json")
    missing = "can't be learnt yet: 0 positives in article 004_83efe2f806625967"
    assert report["scarce"] == scores["scarce"] == {"space": missing}
    assert printed.count(f"space {missing}\n") == 3  # label and both evaluations
    assert report["awaiting"]["youth"] == sum(report["rows"].values()) - 15
    assert scores["measured"] == [*THEMES, "youth"]
    assert scores["figures"]["f1/youth"] > 0
    rows = [json.loads(line) for line in (project.folder / "data/labelled.jsonl").read_text().splitlines()]
    assert sum(row["weights"][4] > 0 for row in rows) == 15  # what rules say is learnt, and no gold

    before = read(project, "reports/rules/scores.json")["figures"]
    follow(project, "Rename a theme", RENAMED, "evaluate@rules")
    scores, labels = read(project, "reports/rules/scores.json"), read(project, "data/labels.json")
    assert labels["names"] == ["education", "integrity", "meritocracy", "digitalisation", "youth", "space"]
    assert scores["figures"]["f1/integrity"] == before["f1/prevention"]

    printed = follow(project, "Remove a theme", RETIRED, "evaluate@rules")
    exemplars = len((project.folder / "seeds/exemplars.jsonl").read_text().splitlines())
    retired = read(project, "reports/labelling.json")["retired"]["digitalisation"]
    assert (retired["annotations"], retired["exemplars"]) == (69, exemplars)
    assert f"digitalisation is retired, so left out of rules ({retired['rules']}), annotations (69)" in printed
    assert read(project, "reports/rules/scores.json")["measured"] == ["education", "integrity", "meritocracy", "youth"]

    printed = follow(project, "Add a language", LANGUAGE)
    assert "Traceback" not in printed
    check_the_end(project, exemplars + 1)


def check_the_end(project: Project, exemplars: int) -> None:
    """What the last `dvc repro` made: reports, model folders, classification, run."""
    metrics, page = read(project, "reports/metrics/tfidf.json"), (project.folder / "reports/comparison.md").read_text()
    assert metrics["tfidf"]["measured"] == "education, integrity, meritocracy, youth"
    assert "Macro-F1 is the mean over Education, Prevention, Meritocracy, youth." in page
    assert "\n- space can't be learnt yet: 0 positives in articles 004_83efe2f806625967, 006_article.\n" in page
    labelling = read(project, "reports/labelling.json")
    assert labelling["rows"] == {"exemplar": exemplars, "gold": 73}
    assert list(read(project, "reports/transformer/scores.json")["languages"]) == ["kk", "ky", "ru"]
    text = "Жас мамандар мен студенттер ауыл мектептеріне жұмысқа орналасты."
    (project.folder / "one.jsonl").write_text(json.dumps({"id": "1", "text": text}, ensure_ascii=False) + "\n")
    for model in ("tfidf", "transformer", "compact", "cascade"):
        command = ["taqyryp", "classify", "one.jsonl", "--unit", "paragraph", "--model", f"models/{model}", "-o", "-"]
        row, *said = project.run(*command, "--threshold", "space=0").splitlines()
        answer = json.loads(row)
        assert list(answer["scores"]) == ["education", "integrity", "meritocracy", "youth", "space"], model
        assert (answer["scores"]["space"], "space" in answer["themes"] + answer["undecided"]) == (0.0, False), model
        assert answer["scores"]["youth"] > 0, model
        assert any(line.startswith("space can't be learnt yet: 0 positives in article") for line in said), model
        assert "so it is never given" in (project.folder / f"models/{model}/README.md").read_text()
    project.run("taqyryp", "docs", "README.md", "docs/model-card.md", "seeds/README.md")
    assert "- space can't be learnt yet:" in (project.folder / "docs/model-card.md").read_text()
