"""Content is kept, boilerplate is rejected: on the seeds to the line, on four corpora of pages above a floor.

tests/data/pages*.jsonl hold invented news pages in three languages, each line labelled by hand as content or
boilerplate. All but the first were written without knowledge of the rules; what they showed has been mended since.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.schemas import Article, Paragraph
from pipeline.core.settings import load_settings
from pipeline.text import language
from pipeline.text import segment as paragraphs
from pipeline.text.boilerplate import Boilerplate, BoilerplateRules, compiled_rules
from pipeline.text.lines import Line
from pipeline.text.normalize import lines, prepare
from pipeline.text.segment import split_article, split_articles

ROOT = Path(__file__).parent.parent.parent
BOILERPLATE = load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)
SEEDS = [Article(id=path.stem, text=path.read_text()) for path in sorted((ROOT / "seeds/articles").glob("*.txt"))]
CORPORA = {
    name: [json.loads(line) for line in (ROOT / "tests/data" / name).read_text().split("\n") if line]
    for name in ("pages.jsonl", "pages_2.jsonl", "pages_3.jsonl", "pages_4.jsonl")
}
PAGES = [page for pages in CORPORA.values() for page in pages]
LANGUAGES = dict(zip((seed.id for seed in SEEDS), ("ru", "ru", "kk", "ru", "kk"), strict=True))


def kept(text: str) -> list[str]:
    return [row.text for row in split_article(Article(id="a", text=text), BOILERPLATE)[0]]


# ---- the seeds -------------------------------------------------------------------------------------------------------


def test_the_seeds_hold_65_paragraphs() -> None:
    rows = {seed.id: split_article(seed, BOILERPLATE)[0] for seed in SEEDS}
    assert [len(found) for found in rows.values()] == [15, 7, 7, 21, 15]
    kinds = ["".join(row.kind[0] for row in found) for found in rows.values()]
    assert kinds == ["b" * 11 + "i" * 4, "t" + "b" * 6, "t" + "b" * 6, "t" + "b" * 20, "t" + "b" * 14]
    # Line numbers of the content, by a careful reading.
    places = [range(1, 16), (10, *range(13, 19)), (1, 6, 13, 15, 17, 19, 21), (1, *range(6, 45, 2)), range(3, 32, 2)]
    for seed, numbers in zip(SEEDS, places, strict=True):
        by_hand = [prepare(lines(seed.text)[number - 1]) for number in numbers]
        assert [row.text for row in rows[seed.id]] == by_hand


def test_seed_paragraphs_are_in_the_language_of_their_article() -> None:
    for seed in SEEDS:
        assert {row.language for row in split_article(seed, BOILERPLATE)[0]} == {LANGUAGES[seed.id]}


def test_rows_are_numbered_and_none_is_lost() -> None:
    found, rejected, counts = split_articles(SEEDS, BOILERPLATE)
    assert len(found) == 65
    for seed, count in zip(SEEDS, counts, strict=True):
        own = [row for row in found if row.article == seed.id]
        assert [row.id for row in own] == [f"{seed.id}-{number:03d}" for number in range(1, len(own) + 1)]
        assert [row.position for row in own] == list(range(1, len(own) + 1))
        assert count.lines == len(lines(seed.text)) == count.blank + count.kept + sum(count.rejected.values())
        assert count.blank == sum(not prepare(line) for line in lines(seed.text))
        for row in (row for row in rejected if row.article == seed.id):
            assert row.text == prepare(lines(seed.text)[row.line - 1])


# ---- the corpus ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", CORPORA)
def test_corpus_floors(corpus: str) -> None:
    """At least 95% of the boilerplate rejected, 99% of the content kept; the failures are listed."""
    right, total, failures = {"keep": 0, "reject": 0}, {"keep": 0, "reject": 0}, []
    for page in CORPORA[corpus]:
        text = "\n".join(line for _, line in page["lines"])
        dropped = {row.line: row.reason for row in split_article(Article(id=page["page"], text=text), BOILERPLATE)[1]}
        for number, (label, line) in enumerate(page["lines"], 1):
            if label != "blank":
                expected = "reject" if label.startswith("reject") else "keep"
                good = (number in dropped) == (expected == "reject")
                total[expected] += 1
                right[expected] += good
                if not good:
                    failures.append(f"{page['page']}:{number} {label} -> {dropped.get(number, 'kept')}: {line}")
    listing = "\n".join(failures)
    assert right["reject"] >= 0.95 * total["reject"], listing
    assert right["keep"] >= 0.99 * total["keep"], listing


@pytest.mark.parametrize("corpus", ["pages.jsonl", "pages_2.jsonl", "pages_3.jsonl"])
def test_corpus_titles(corpus: str) -> None:
    """At least 95% of the pages' titles are kept as the title."""
    found = 0
    for page in CORPORA[corpus]:
        article = Article(id=page["page"], text="\n".join(line for _, line in page["lines"]))
        titles = [row.text for row in split_article(article, BOILERPLATE)[0] if row.kind == "title"]
        found += titles == [prepare(line) for label, line in page["lines"] if label == "title"]
    assert found >= 0.95 * len(CORPORA[corpus])


# ---- boilerplate more or less changes nothing ------------------------------------------------------------------------


def boilerplate_lines() -> dict[str, Line]:
    """The corpora's boilerplate lines that show by themselves what they are."""
    judge, known = compiled_rules(BOILERPLATE).judge, {}
    for label, text in (line for page in PAGES for line in page["lines"] if line[0].startswith("reject")):
        line = Line(1, prepare(text))
        judge(line)
        if line.reason and label != "reject:duplicate":
            known[text] = line
    return known


def marked_lists() -> list[list[str]]:
    """A heading over other headlines from each page that has one, with one to three of the headlines."""
    found: list[list[str]] = []
    for page in PAGES:
        texts = [text for label, text in page["lines"] if label in ("reject:readalso", "blank")]
        start = next((at for at, text in enumerate(texts) if text in KNOWN and KNOWN[text].heads_list), None)
        if start is not None:
            found.append(texts[start : start + 2 + len(found) % 3])
    return found


KNOWN = boilerplate_lines()
LISTS = marked_lists()


@pytest.fixture(scope="module")
def quick() -> Iterator[Callable[[Article], list[Paragraph]]]:
    """`split_article` that judges each distinct line once: the sweep reads the seeds' lines thousands of times."""
    judge, seen = BoilerplateRules.judge, {}

    def judged(self: BoilerplateRules, line: Line) -> None:
        if line.text not in seen:
            judge(self, line)
            seen[line.text] = (line.reason, line.heads_list, line.closes, line.doubtful)
        line.reason, line.heads_list, line.closes, line.doubtful = seen[line.text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BoilerplateRules, "judge", judged)
        patch.setattr(language, "detect", cache(language.detect))
        patch.setattr(paragraphs, "prepare", cache(paragraphs.prepare))
        yield lambda article: split_article(article, BOILERPLATE)[0]


def with_inserted(seed: Article, inserted: list[str], place: int) -> Article:
    page = seed.text.split("\n")
    return Article(id=seed.id, text="\n".join([*page[:place], *inserted, *page[place:]]))


def test_boilerplate_inserted_anywhere_changes_no_row(quick: Callable[[Article], list[Paragraph]]) -> None:
    """At every place of every seed: each list, and a line of each sort (nothing but its sort acts on others)."""
    sorts = {(line.reason, line.heads_list, line.closes, line.doubtful): text for text, line in KNOWN.items()}
    assert len(sorts) >= 15
    assert len(LISTS) >= 30
    lines_and_lists = [[text] for text in sorts.values()] + LISTS
    unchanged = {seed.id: quick(seed) for seed in SEEDS}
    failures = [
        f"{seed.id} before line {place + 1}: {inserted}"
        for inserted in lines_and_lists
        for seed in SEEDS
        for place in range(seed.text.count("\n") + 2)
        if quick(with_inserted(seed, inserted, place)) != unchanged[seed.id]
    ]
    assert not failures, "\n".join(failures)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_boilerplate_inserted_several_times_changes_no_row(
    quick: Callable[[Article], list[Paragraph]], data: st.DataObject
) -> None:
    seed = data.draw(st.sampled_from(SEEDS))
    page = seed.text.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        page.insert(data.draw(st.integers(0, len(page))), data.draw(st.sampled_from(sorted(KNOWN))))
    found = quick(Article(id=seed.id, text="\n".join(page)))
    assert [row.text for row in found if row.kind != "title"] == [
        row.text for row in quick(seed) if row.kind != "title"
    ]


# ---- single rules ----------------------------------------------------------------------------------------------------

BODY = "Акимат города объявил конкурс на должность руководителя отдела, документы принимают до пятницы."
MORE = "Конкурс пройдёт в два этапа: сначала тест, потом собеседование с руководителем отдела."


def test_a_lone_subheading_stays_and_a_marked_list_goes() -> None:
    assert kept(f"{BODY}\nКто может участвовать\n{MORE}") == [BODY, "Кто может участвовать", MORE]
    assert kept(f"{BODY}\nЧитайте также\nСнег выпал в горах\nРынок сгорел\n{MORE}") == [BODY, MORE]


HEADLINES = [
    "Снег выпал в горах",
    "Рынок сгорел ночью дотла",
    "Туристов нашли за перевалом",
    "Верблюды вернулись домой",
    "Поезда пошли быстрее",
]


def test_headlines_without_a_marker_go_only_in_a_long_list_at_the_end() -> None:
    """Between paragraphs, and fewer than six at the end, they may be an explainer's list without marks."""
    six = [*HEADLINES, "Волонтёры посадили рощу"]
    assert len(six) == 6
    assert kept("\n".join([BODY, *six, MORE])) == [BODY, *six, MORE]
    assert kept("\n".join([BODY, MORE, *six])) == [BODY, MORE]
    assert kept("\n".join([BODY, MORE, *six[:5]])) == [BODY, MORE, *six[:5]]
    introduced = MORE.removesuffix(".") + ":"
    assert kept("\n".join([BODY, introduced, *six])) == [BODY, introduced, *six]


def test_the_title_is_found_among_headlines_and_menus() -> None:
    title = "Кого ищет акимат города"
    tops = [
        ["Спорт", "Областная общественно-политическая газета", title],
        [*HEADLINES, "12:30", title, "Автор: Анна Ким"],
        ["Популярное", *HEADLINES[:2], "5 мая 2024", title],
        ["Популярное", *HEADLINES[:2], title],
        [title, "", "Популярное", *HEADLINES[:2], "Фото: архив"],
        ["Новости » Одна судьба пасечника", "Одна судьба пасечника", "Ежедневная газета для всех"],
        [title, "Документы на конкурс принимают до пятницы"],
        ["Областная общественно-политическая газета", "Последние новости", *HEADLINES[:3], title],
    ]
    for top in tops:
        rows, _ = split_article(Article(id="a", text="\n".join([*top, BODY, MORE])), BOILERPLATE)
        expected = title if title in top else "Одна судьба пасечника"
        assert [row.text for row in rows if row.kind == "title"] == [expected], top
        assert {BODY, MORE} <= {row.text for row in rows}


def test_a_box_of_facts_stays() -> None:
    box = ["Досье", "Динара Омарова", "Родилась 3 ноября в Павлодаре", "Амплуа: либеро", "Клубы: «Иртыш», «Алтай»"]
    assert kept("\n".join([BODY, *box, "Поделиться", "Партнёрам"])) == [BODY, *box]
    assert kept("\n".join([BODY, *box, MORE])) == [BODY, *box, MORE]


def test_doubtful_boilerplate_stays_in_a_box_or_an_introduced_list_alone() -> None:
    for line in ("Образование", "Спорт", "Олег Цой", "Адрес: проспект Абая, 5", "12:30 Открытие выставки"):
        assert kept(f"{line}\n{BODY}\n{line}\n{MORE}\n{line}") == [BODY, MORE]
    assert kept(f"{BODY}\nСпорт\nКультура\nЭкономика\n{MORE}") == [BODY, MORE]
    commission = [BODY, "В комиссию вошли известные в городе и области люди:", "Анна Ким", "Олег Цой", MORE]
    assert kept("\n".join(commission)) == commission


def test_a_subheading_after_a_list_stays() -> None:
    page = [BODY, "Читайте также", *HEADLINES[:2], "", "Кто может участвовать", MORE]
    assert kept("\n".join(page)) == [BODY, "Кто может участвовать", MORE]


def test_a_repeat_goes() -> None:
    assert kept(f"{BODY}\n{MORE}\n{BODY}") == [BODY, MORE]
    assert kept(f"{BODY}\n{BODY[:60]}…\n{MORE}\n{MORE[:-1]}") == [BODY, MORE]
    assert kept(f"{BODY}\nСначала тест\n{MORE}") == [BODY, "Сначала тест", MORE]


def test_items_stay_among_boilerplate() -> None:
    items = "- копию удостоверения;\nФото: архив\n- справку;\nПоделиться\n- согласие."
    rows, _ = split_article(Article(id="a", text=f"{BODY}\nНужно предоставить:\n{items}"), BOILERPLATE)
    assert [row.kind for row in rows] == ["body", "body", "item", "item", "item"]


def test_replies_in_an_interview_are_not_buttons() -> None:
    talk = f"{BODY}\n– Вы согласны?\n– Да.\n– Хорошо.\n– Подробнее расскажете?\n– Жоқ.\n{MORE}"
    assert kept(talk) == talk.split("\n")


def test_an_undecided_paragraph_takes_the_language_of_its_article() -> None:
    rows, _ = split_article(Article(id="a", text=f"{BODY}\n«Бала»\n{MORE}"), BOILERPLATE)
    assert [row.language for row in rows] == ["ru", "ru", "ru"]


def test_a_short_title_stays_if_it_stands_alone() -> None:
    for top in (["Экономика", "Ночной базар", "5 мая 2024"], ["Политика Экономика Спорт Культура", "Ночной базар"]):
        assert kept("\n".join([*top, BODY, MORE])) == ["Ночной базар", BODY, MORE]
    life = "Анна Ким родилась в Уральске, работала учителем и вырастила четверых детей."
    assert kept(f"Анна Ким\n{life}\n{MORE}") == ["Анна Ким", life, MORE]
    assert kept(f"Анна Ким\n{BODY}\n{MORE}") == [BODY, MORE]


def test_a_long_line_is_no_menu() -> None:
    lead = "Хозяйка пекарни Анна Ким – о том, как вырастить закваску и почему уходят ученики, а мука дорожает"
    assert kept(f"Ночной базар в городе\nАвтор: Ира Цой\n{lead}\nФото: архив\n{BODY}\n{MORE}")[-3:] == [
        lead,
        BODY,
        MORE,
    ]


def test_a_number_for_more_information_stays_unless_a_marker_precedes() -> None:
    number = "Дополнительная информация: отдел цен, тел. 8 (7182) 00-45-67"
    assert kept(f"{BODY}\n{number}\nПоделиться") == [BODY, number]
    assert kept(f"{BODY}\nПоделиться\n{number}") == [BODY]


def test_those_who_sign_an_obituary_stay() -> None:
    grief = "Выражаем соболезнования родным и близким."
    names = ["Анна Ким", "Олег Цой", "Друзья"]
    assert kept("\n".join([BODY, grief, *names, "Поделиться", "Анна Ким"])) == [BODY, grief, *names]
    assert kept("\n".join([BODY, grief, "Анна Ким"])) == [BODY, grief]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", []),
        ("\n \u00a0\n\ufeff", []),
        ("Служить, а не обогащаться", ["Служить, а не обогащаться"]),
        ("Снег выпал в горах\nРынок сгорел\nТуристов нашли", ["Снег выпал в горах", "Рынок сгорел", "Туристов нашли"]),
        ("Главная\nСнег выпал в горах\nПоделиться", ["Снег выпал в горах"]),
        (BODY, [BODY]),
        (f"{BODY}\r\n{MORE}\r\n", [BODY, MORE]),
        (f"{BODY} {MORE} " * 50, [prepare(f"{BODY} {MORE} " * 50)]),
        ("а" * 100_000, ["а" * 100_000]),
        ("1. а 2 " * 20_000, [prepare("1. а 2 " * 20_000)]),
    ],
)
def test_odd_texts(text: str, content: list[str]) -> None:
    assert kept(text) == content


@given(st.lists(st.sampled_from([*sorted(KNOWN)[::18], BODY, MORE, "", "Снег выпал", "• пункт", "Итак:", "»", "?!"])))
@settings(deadline=None)
def test_every_line_of_any_page_is_accounted_for(page: list[str]) -> None:
    (article,) = [Article(id="a", text="\n".join(page))]
    _, _, (count,) = split_articles([article], BOILERPLATE)
    assert count.lines == count.blank + count.kept + sum(count.rejected.values()) == len(lines(article.text))


def test_pages_that_no_rule_was_mended_against() -> None:
    """pages_5.jsonl is held to its first sight: an estimate for outlets nobody has seen, so no phrase comes from it."""
    right, total = {"keep": 0, "reject": 0}, {"keep": 0, "reject": 0}
    for line in (ROOT / "tests/data/pages_5.jsonl").read_text().strip().split("\n"):
        page = json.loads(line)
        _, rejected = split_article(
            Article(id=page["page"], text="\n".join(text for _, text in page["lines"])), BOILERPLATE
        )
        numbers = {row.line for row in rejected}
        for number, (label, _) in enumerate(page["lines"], start=1):
            if label != "blank":
                expected = "reject" if label.startswith("reject") else "keep"
                total[expected] += 1
                right[expected] += (number in numbers) == (expected == "reject")
    assert total == {"keep": 371, "reject": 581}
    assert right["keep"] >= 363
    assert right["reject"] >= 505
