"""The language of paragraphs, short ones included, and what stands for it where there is none."""

import pytest

from pipeline.text.language import KNOWN, UNDETERMINED, detect

SENTENCES = [
    ("kk", "Мемлекеттік қызметке кіру үшін тест тапсыру қажет."),
    ("kk", "Бүгін Алматыда жиын өтті."),
    ("kk", "Үзілістен кейін бәрі өзгерді."),
    ("kk", "Ол ауылда мектеп салынады."),
    ("kk", "Служба деп аталатын бағдарлама туралы министр баяндама жасады."),
    ("ru", "Для поступления на государственную службу нужно сдать тест."),
    ("ru", "Сегодня в Алматы прошло совещание."),
    ("ru", "Служить, а не обогащаться"),
    ("ru", "В школах и вузах внедряются программы и проекты «Адал ұрпақ», «Адал білім», «Саналы ұрпақ»."),
    ("ru", "Крыша рухнула через две минуты."),
    ("en", "Civil servants will declare their income."),
    ("en", "Nobody was hurt."),
]


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_real_sentences(language: str, text: str) -> None:
    assert detect(text) == language
    assert detect(text, "ru") == language


@pytest.mark.parametrize("text", ["", "2024", "— 12,5 % —", "🔥 212", "«»"])
def test_without_letters_the_fallback_is_taken(text: str) -> None:
    assert detect(text) == UNDETERMINED
    assert detect(text, "kk") == "kk"


def test_a_word_that_two_languages_share_takes_the_fallback() -> None:
    assert detect("Бала") == UNDETERMINED
    assert [detect("Бала", code) for code in KNOWN] == list(KNOWN)


def test_the_same_text_has_the_same_language() -> None:
    text = "Жоба, проект, project"
    assert len({detect(text) for _ in range(50)}) == 1
