"""The pattern language, the votes, and the rules that ship on real sentences."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.core.schemas import LabelledRow, Labels
from pipeline.core.settings import load_settings
from pipeline.labelling.exemplars import challenge_part, read_exemplars
from pipeline.labelling.label import LabelSettings, label_exemplars
from pipeline.labelling.report import labelling_report
from pipeline.labelling.rules import LabellingRules, Rule, RuleSettings, combine_votes
from tests.conftest import ROOT, THEMES

X = Labels(task="multi-label", names=("x",))


def rule(name: str = "r", **values: Any) -> Rule:
    return Rule(**{"name": name, "theme": "x", "votes": "for", "confidence": 0.9, **values})


def fires(text: str, **values: Any) -> bool:
    return bool(LabellingRules(RuleSettings(rules=[rule(**values)]), X).hits(text))


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("мектеп*", "Мектептерде сабақ басталды.", True),
        ("мектеп*", "Мектебінде", False),
        ("мектеп", "мектептер", False),
        ("*қызмет", "Мемқызмет беделі", True),
        ("кадров* резерв*", "в Президентский кадровый, резерв", True),
        ("кадров* резерв*", "Кадров нет. Резерв есть.", False),
        ("конкурс* ~2 должност*", "конкурса на вакантные должности", True),
        ("конкурс* ~1 должност*", "конкурса на очень вакантные должности", False),
        ("(школ*|лице*) закрыт*", "Лицей закрыт", True),
        ("учет", "учёт ведется", True),
        ("ИИН", "по иин", True),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:
    assert fires(text, any={"ru": [pattern]}) is expected


def test_conditions_around_a_pattern() -> None:
    conditions: dict[str, Any] = {
        "any": {"ru": ["тест*"]},
        "also": {"ru": ["госслужб*"]},
        "unless": {"ru": ["врач*"]},
        "ignore": {"ru": ["тест на беременность"]},
    }
    assert fires("Тест для госслужбы", **conditions)
    assert not fires("Тест для всех", **conditions)
    assert not fires("Тест врачей госслужбы", **conditions)
    assert not fires("Тест на беременность госслужбы", **conditions)


def test_a_rule_without_patterns_fires_unless_it_must_not() -> None:
    assert fires("Ауа райы", votes="against", unless={"kk": ["мектеп*"]})
    assert not fires("Мектептер", votes="against", unless={"kk": ["мектеп*"]})


def test_votes_become_a_probability() -> None:
    for_, against = rule("a"), rule("b", votes="against")
    assert combine_votes([]) == {}
    assert combine_votes([for_])["x"].probability == pytest.approx(0.9)
    assert combine_votes([for_])["x"].weight == pytest.approx(0.8)
    assert combine_votes([for_, against])["x"].weight == pytest.approx(0.0)
    assert combine_votes([for_, rule("c")])["x"].probability == pytest.approx(81 / 82)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"theme": "y"}, "theme 'y' is not one of x"),
        ({"any": {"ru": ["~2 слово"]}}, "a gap is written"),
        ({"any": {"ru": ["сло*во"]}}, "'сло*во' is not a word"),
        ({"any": {"ru": [" "]}}, "an empty pattern"),
    ],
)
def test_a_broken_rule_is_named(values: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError) as error:
        LabellingRules(RuleSettings(rules=[rule("school-bribes", **values)]), X).hits("текст")
    assert "school-bribes" in str(error.value)
    assert part in str(error.value)


def test_entries_of_one_name_are_one_rule() -> None:
    cases = [rule(any={"kk": ["мектеп*"]}), rule(any={"ru": ["школ*"]}, unless={"ru": ["дорог*"]}), rule("other")]
    rules = LabellingRules(RuleSettings(rules=cases), X)
    assert [found.name for found in rules.settings] == ["r", "other"]
    for text, expected in (("Мектептер мен школы", ["r", "other"]), ("Дорога к школе", ["other"])):
        assert [found.name for found in rules.hits(text)] == expected
    with pytest.raises(UserError, match="rule r stands several times and differs in theme, votes or confidence"):
        LabellingRules(RuleSettings(rules=[rule(), rule(confidence=0.8)]), X)


def test_every_rule_that_ships_has_earned_its_place(
    rows: list[LabelledRow], labels: Labels, shipped: LabellingRules
) -> None:
    """On gold and part dev of the challenge set: 5 hits, 4 of 5 right, in each language in which it fires."""
    challenge = read_exemplars(ROOT / "seeds/challenge.jsonl", labels, {})
    settings = LabelSettings(gold_weight=1.0, exemplar_weight=1.0, rule_weight=0.5, unasked_weight=0.5)
    dev = label_exemplars([row for row in challenge if challenge_part(row) == "dev"], shipped, settings)
    found = labelling_report(rows, shipped, {}, challenge=dev)
    for each in found["rules"]:
        assert each["precision"], each["rule"]
        for language, counts in each["precision"].items():
            assert (counts["of"] >= 5, counts["share"] >= 0.8) == (True, True), (each["rule"], language, counts)
    assert all(figures["f1_macro"] >= 0.5 for figures in found["rules_on_challenge"].values())


@pytest.fixture(scope="module")
def shipped() -> LabellingRules:
    return LabellingRules(
        load_settings(ROOT / "configs/rules.yaml", RuleSettings), Labels(task="multi-label", names=THEMES)
    )


@pytest.mark.parametrize(
    ("text", "themes"),
    [
        ("Ауылдық мектептерге жаңа мұғалімдер келді.", {"education"}),
        ("В колледжах области не хватает преподавателей.", {"education"}),
        ("Сыбайлас жемқорлық тәуекелдеріне талдау жүргізіліп, ұсынымдар берілді.", {"prevention"}),
        ("По итогам анализа коррупционных рисков выработаны рекомендации.", {"prevention"}),
        ("Мемлекеттік қызметке кіру үшін үміткерлер тест тапсырады.", {"meritocracy"}),
        ("Вакантные должности на госслужбе теперь занимают по открытому конкурсу.", {"meritocracy"}),
        ("Азаматтар анықтаманы eGov порталы арқылы электронды түрде алады.", {"digitalisation"}),
        ("Жители подают заявления на государственные услуги онлайн через портал.", {"digitalisation"}),
        ("Футбол командасы кеше екі доп соқты.", set()),
        ("Завтра в столице ожидается снег и сильный ветер.", set()),
    ],
)
def test_shipped_rules_on_sentences(text: str, themes: set[str], shipped: LabellingRules) -> None:
    assert {theme for theme, vote in shipped.votes(text).items() if vote.probability > 0.5} == themes


def test_shipped_rules_are_right_on_gold(shipped: LabellingRules, rows: list[LabelledRow], labels: Labels) -> None:
    """Where the rules speak for a theme on the seeds, gold agrees at least nine times in ten."""
    votes = [
        row.targets[labels.names.index(theme)]
        for row in rows
        for theme, vote in shipped.votes(row.text).items()
        if vote.probability > 0.5
    ]
    assert len(votes) >= 60
    assert sum(votes) / len(votes) >= 0.9
