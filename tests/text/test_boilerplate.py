"""What a line shows by itself: boilerplate by its words, a body paragraph, an item or a headline by its shape."""

import json
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.settings import load_settings
from pipeline.text.boilerplate import Boilerplate, compiled_rules
from pipeline.text.lines import Line
from pipeline.text.normalize import prepare

ROOT = Path(__file__).parent.parent.parent
BOILERPLATE = load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)
DATA = ("tests/data/pages.jsonl", "tests/data/pages_2.jsonl", "tests/data/pages_3.jsonl")
PAGES = [json.loads(line) for name in DATA for line in (ROOT / name).read_text().split("\n") if line]


def judged(text: str) -> Line:
    line = Line(1, text)
    compiled_rules(BOILERPLATE).judge(line)
    return line


def test_nearly_all_boilerplate_outside_lists_shows_by_itself_what_it_is() -> None:
    labels = ("ticker", "counter", "caption", "byline", "source", "buttons", "cookie", "footer")
    own = {text for page in PAGES for label, text in page["lines"] if label.removeprefix("reject:") in labels}
    unknown = sorted(text for text in own if not judged(prepare(text)).reason)
    assert len(unknown) <= 0.12 * len(own), unknown


def test_hardly_any_content_looks_like_boilerplate() -> None:
    own = {text for page in PAGES for label, text in page["lines"] if label in ("keep", "title")}
    wrong = {text for text in own if (line := judged(prepare(text))).reason and not line.doubtful}
    assert not wrong


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("КОММЕНТАРИИ (28):", "counter"),
        ("Фото: Анна Ким", "caption"),
        ("Сейтқали Әбенов", "by-line"),
        ("Дереккөз: қала әкімдігі", "source"),
        ("Главная / Новости / Общество", "menu"),
        ("Политика Экономика Спорт Культура", "menu"),
        ("ru Двух туристов спасли в ущелье", "read-also"),
        ("Астана, -3°C", "ticker"),
        ("БАСТЫ БЕТ ЖАҢАЛЫҚТАР МӘДЕНИЕТ ГАЗЕТ ТӨРІ БАЙЛАНЫС", "menu"),
        ("Сейчас {{ city }} и снег", "template"),
        ("Руханият айдарынан", "read-also"),
        ("Сделай ставку и забери бонус", "button"),
        ("Posted by Web Team", "by-line"),
        ("Книга рецептов: где купить?", ""),
        ("В Астане похолодает до -35°C", ""),
        ("Корреспондент: Как вы пришли в профессию?", ""),
        ("– Хорошо.", ""),
        ("Образование – главная ценность нашей семьи.", ""),
    ],
)
def test_single_lines(text: str, reason: str) -> None:
    assert judged(text).reason == reason


def test_only_what_may_be_a_subheading_is_doubtful() -> None:
    assert judged("Образование").doubtful
    assert judged("Телефон: 8 (7172) 00-11-22").doubtful
    assert not judged("Политика Экономика Спорт Культура").doubtful
    assert not judged("Телефон редакции: 8 (7172) 00-11-22").doubtful


@pytest.mark.parametrize(
    ("text", "kind", "body"),
    [
        ("Служить, а не обогащаться", "body", False),
        ("Снег выпал. Ночью подморозит.", "body", True),
        ("- развитие культуры;", "item", False),
        ("– Как вы попали в волейбол?", "body", True),
        ("Нужно предоставить:", "body", False),
    ],
)
def test_shapes(text: str, kind: str, body: bool) -> None:
    line = Line(1, text)
    assert (line.kind, line.is_body) == (kind, body)


def test_no_short_line_is_slow() -> None:
    """A careless pattern once took 24 s for 148 commas; the worst line now takes some 40 ms."""
    parts = ["1", " 1", ",", ":", " ", "A ", "Аб ", "« ", "°", "- ", "#a", " | ", "$", ". ", "[[", "Казахстан ", "№ "]
    for text in (((first + second) * 80)[:148] + "!" for first in parts for second in parts):
        start = time.process_time()
        judged(prepare(text))
        assert time.process_time() - start < 1, text


def test_a_broken_pattern_is_refused_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "boilerplate.yaml"
    broken.write_text((ROOT / "configs/boilerplate.yaml").read_text().replace("'AQI\\W.{0,30}'", "'AQI(\\W'"))
    with pytest.raises(UserError, match=r"boilerplate\.yaml: .*pattern 'AQI\(\\\\W' is not a regular expression"):
        load_settings(broken, Boilerplate)
