"""Which letters a text is written in, and what can't be read for lost or foreign ones."""

import pytest

from pipeline.text.scripts import has_neighbours_letters, is_plain, is_unreadable, main_script


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Ауылда мектеп салынды, IT-сынып ашылды.", "Cyrl"),
        ("В школе открыли класс Smart Lab.", "Cyrl"),
        ("Aýylda mektep salyndy.", "Latn"),
        ("اۋىلدا مەكتەپ سالىندى.", "Arab"),
        ("მეურნეობა აუ", ""),
        ("2024 — 12,5 %", ""),
        ("", ""),
    ],
)
def test_main_script(text: str, script: str) -> None:
    assert main_script(text) == script


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("«Әлия» жиналысы – № 5, 12 °С; көмек €20 … 🔥 ½", True),
        ("", True),
        ("Портал eGov", False),
        ("Дайте ї", False),
        ("дəрiс", False),
        ("10 µг", False),
    ],
)
def test_plain_text_has_letters_of_kazakh_and_russian_alone(text: str, plain: bool) -> None:
    assert is_plain(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "???? ?????? ?? ???????",
        "О?ушылар ?шін жа?а сыныптар ашылды.",
        "Мек\ufffdеп\ufffdе жа\ufffdа жыл.",
        "РџРѕСЂС‚Р°Р» РѕС‚РєСЂС‹Р»СЃСЏ",
        "დღეს სკოლაში",
        "Школа 哈萨克斯坦的学校",
    ],
)
def test_lost_or_foreign_letters_are_unreadable(text: str) -> None:
    assert is_unreadable(text)


@pytest.mark.parametrize(
    "text",
    [
        "Не болды? Неге? Кім кінәлі?",
        "Что случилось????",
        "https://example.kz/?a=1&b=2?c=3?d=4 сілтемесі арқылы өтініш беруге болады, ол тәулік бойы қолжетімді.",
        "Школярам її пояснили, чому хабарів не дають.",
        "Мактабларда ўқувчилар учун дарслар ҳам бор.",
        "Aýylda jańa mektep salyndy.",
        "اۋىلدا مەكتەپ سالىندى.",
        "По-китайски это 学校.",
        "12,5 %",
        "",
    ],
)
def test_neighbours_languages_and_question_marks_are_readable(text: str) -> None:
    assert not is_unreadable(text)


def test_neighbours_letters() -> None:
    assert has_neighbours_letters("Її школа")
    assert has_neighbours_letters("Ўқувчилар")
    assert not has_neighbours_letters("Ұлттық жүйе, ёлка, Lab")
