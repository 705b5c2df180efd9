"""Line breaks that say nothing of paragraphs: text cut at a width, and text on one line."""

from __future__ import annotations

import json
import textwrap

import pytest

from pipeline.core.schemas import Article
from pipeline.core.settings import load_settings
from pipeline.text.articles import read_articles
from pipeline.text.boilerplate import Boilerplate
from pipeline.text.breaks import is_one_line, parted, unfolded
from pipeline.text.segment import split_article
from tests.conftest import ROOT

PARAGRAPHS = [
    "Облыста адалдық апталығы басталды",
    "Апталық аясында мұғалімдер мен ата-аналар үшін дәрістер оқылады, ал тоғызыншылар сот отырысын көрсетеді.",
    "В пятницу студенты колледжей напишут эссе о том, почему нельзя платить за оценки; лучшие прочтут на линейке.",
    "Как рассказал А. С. Ким, кто-то из ребят впервые узнал, куда жаловаться, если у родителей вымогают деньги.",
    "Келесі жылы мұндай кездесулер аудан орталықтарында да өтеді, деп хабарлады департаменттің баспасөз қызметі.",
]
BOILERPLATE = load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)


def cut(paragraphs: list[str], width: int, between: str = "\n\n", indent: str = "") -> str:
    return between.join(
        "\n".join(textwrap.wrap(text, width, break_on_hyphens=False, initial_indent=indent)) for text in paragraphs
    )


def kept(text: str) -> list[str]:
    return [row.text for row in split_article(Article(id="a", text=text), BOILERPLATE)[0]]


@pytest.mark.parametrize("width", [44, 55, 60, 66, 72, 75, 80, 98])
def test_lines_cut_at_a_width_are_joined(width: int) -> None:
    assert kept(cut(PARAGRAPHS, width)) == PARAGRAPHS
    assert kept(cut(PARAGRAPHS, width, "\n", "    ")) == PARAGRAPHS
    assert kept(cut(PARAGRAPHS, width).replace("\n", "\r\n")) == PARAGRAPHS


def test_a_joined_line_has_the_number_of_its_first() -> None:
    text = "Главная\n\n" + cut(PARAGRAPHS[1:], 60) + "\n\nПоделиться"
    joined = unfolded(text)
    assert joined.count("\n") == text.count("\n")
    rejected = split_article(Article(id="a", text=text), BOILERPLATE)[1]
    assert [(row.line, row.text) for row in rejected] == [(1, "Главная"), (text.count("\n") + 1, "Поделиться")]


HYPHENS = {
    "меро-\nприятие": "мероприятие",
    "оқу-\nшылар": "оқушылар",
    "кто-\nто": "кто-то",
    "Алма-\nАта": "Алма-Ата",
    "ата-\nаналар": "ата-аналар",
    "меро\xad\nприятие": "мероприятие",
    "2024-\nжылы": "2024-жылы",
}


@pytest.mark.parametrize("cut_word", HYPHENS)
def test_hyphenated_words_are_joined(cut_word: str) -> None:
    first, rest = cut_word.split("\n")
    lines = [f"Бүгін облыс орталығында жастар үшін ұйымдастырылған {first}"[-60:], f"{rest} туралы жазған хабарларға"]
    text = cut(PARAGRAPHS[1:], 60) + "\n\n" + "\n".join(lines) + "\nжауап берілді."
    assert f" {HYPHENS[cut_word]} туралы жазған" in unfolded(text)


def test_other_text_stays_as_it_is() -> None:
    poem = "Ана тілің — арың бұл,\nҰятың боп тұр бетте.\nӨзге тілдің бәрін біл,\nӨз тіліңді құрметте."
    flash = "Қар жауды\nЖол жабылды\nМектептер қашықтан оқиды"
    items = "Нужны документы:\n- удостоверение личности;\n- справка о доходах за год;\n- заявление по форме."
    headlines = "\n".join(f"{n}-сыныпта адалдық сағаты өтті, оған ата-аналар да қатысты" for n in range(9))
    for text in ("", poem, flash, items, headlines, "\n".join(PARAGRAPHS)):
        assert unfolded(text) == text
    for article in read_articles(ROOT / "seeds/articles"):
        assert unfolded(article.text) == article.text
    for corpus in sorted((ROOT / "tests/data").glob("pages*.jsonl")):
        for page in map(json.loads, corpus.read_text().strip().split("\n")):
            text = "\n".join(line for _, line in page["lines"])
            assert unfolded(text) == text


def test_an_article_on_one_line_is_cut_between_sentences() -> None:
    line = " ".join(PARAGRAPHS[1:] * 4)
    assert is_one_line(line)
    pieces = parted(line).split("\n")
    assert " ".join(pieces) == line
    assert all(300 <= len(piece) < 600 for piece in pieces[:-1])
    assert all(any(piece.startswith(text[:20]) for text in PARAGRAPHS) for piece in pieces), "no cut behind А. С."
    assert not is_one_line(" ".join(PARAGRAPHS[1:]))
    assert not is_one_line("\n".join([line, line]))


def test_breaks_that_are_written_out() -> None:
    assert is_one_line(r"Бір.\nЕкі.")
    assert parted(r"Бір.\n\nЕкі.\r\n«Үш».") == "Бір.\n\nЕкі.\n«Үш»."
    assert not is_one_line(r"Файлы лежат в C:\news\new")
