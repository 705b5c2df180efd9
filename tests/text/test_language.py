"""The language of paragraphs, short ones included, and what stands for it where there is none."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl, sha256
from pipeline.core.schemas import Exemplar
from pipeline.text.language import (
    UNDETERMINED,
    USUAL,
    detect,
    known_languages,
    languages,
    load_languages,
    outside,
    told_among,
)
from pipeline.text.normalize import prepare
from tests.conftest import ROOT

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
    assert [detect("Бала", code) for code in ("kk", "ru", "en")] == ["kk", "ru", "en"]


def test_the_same_text_has_the_same_language() -> None:
    text = "Жоба, проект, project"
    assert len({detect(text) for _ in range(50)}) == 1


OTHERS = [
    ("uk", "Школярам розповіли, чому не можна давати хабарі за оцінки."),
    ("bg", "Учениците научиха защо не бива да се дават подкупи за оценки."),
    ("sr", "Ученици су научили зашто се не сме давати мито за оцене."),
    ("be", "Школьнікам расказалі, чаму нельга даваць хабар за адзнакі."),
    ("mn", "Сурагчдад яагаад дүнгийн төлөө хахууль өгч болохгүйг тайлбарлав."),
    ("tg", "Ба хонандагон фаҳмонданд, ки чаро барои баҳо пора додан мумкин нест."),
    ("tt", "Укучыларга ни өчен билге өчен ришвәт бирергә ярамаганын аңлаттылар."),
    ("ba", "Уҡыусыларға ни өсөн баһа өсөн ришүәт бирергә ярамағанын аңлаттылар."),
    ("ky", "Окуучуларга баа үчүн эмне себептен пара берүүгө болбой турганы түшүндүрүлдү."),
    ("uz", "Ўқувчиларга нима учун баҳо учун пора бериш мумкин эмаслиги тушунтирилди."),
    ("uz", "Oʻquvchilarga nima uchun baho uchun pora berish mumkin emasligi tushuntirildi."),
    ("tr", "Öğrencilere not için neden rüşvet verilmemesi gerektiği anlatıldı."),
    ("az", "Şagirdlərə qiymət üçün niyə rüşvət verilməməli olduğu izah edildi."),
    ("de", "Den Schülern wurde erklärt, warum man für Noten keine Bestechung zahlen darf."),
    ("ar", "شرحوا للتلاميذ لماذا لا يجوز دفع الرشوة مقابل الدرجات."),
    ("fa", "به دانش‌آموزان توضیح دادند که چرا نباید برای نمره رشوه داد."),
    ("ug", "ئوقۇغۇچىلارغا نېمە ئۈچۈن باھا ئۈچۈن پارا بېرىشكە بولمايدىغانلىقى چۈشەندۈرۈلدى."),
]


@pytest.mark.parametrize(("language", "text"), OTHERS)
def test_other_languages_have_their_own_code(language: str, text: str) -> None:
    assert detect(text) == language
    assert outside(text, language, USUAL) == "language"
    assert outside(text, language, [language]) == ""


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("kk-Latn", "Oqýshylarǵa baǵa úshin nege para berýge bolmaıtyny túsindirildi."),
        ("kk-Latn", "Oqushylarğa bağa üşın nege para beruge bolmaityny tüsındırıldı."),
        ("kk-Latn", "Oqwşılarğa bağa üşin nege para berwge bolmaytını tüsindirildi."),
        ("kk-Latn", "OQÝSHYLARǴA BAǴA ÚSHIN NEGE PARA BERÝGE BOLMAITYNY TÚSINDIRILDI."),
        ("kk-Arab", "وقۋشىلارعا باعا ءۇشىن نەگە پارا بەرۋگە بولمايتىنى تۇسىندىرىلدى."),
        ("kk", "Окушыларга бага ушин неге пара беруге болмайтыны тусиндирилди."),
        ("kk", "ОҚУШЫЛАРҒА БАҒА ҮШІН НЕГЕ ПАРА БЕРУГЕ БОЛМАЙТЫНЫ ТҮСІНДІРІЛДІ."),
        ("kk", "Oқушылaрғa бaғa үшiн нeгe пaрa бeругe бoлмaйтыны түсiндiрiлдi."),
        ("ru", "ШКОЛЬНИКАМ ОБЪЯСНИЛИ, ПОЧЕМУ НЕЛЬЗЯ ДАВАТЬ ВЗЯТКИ ЗА ОЦЕНКИ."),
    ],
)
def test_kazakh_in_other_scripts_capitals_and_look_alikes_is_known(language: str, text: str) -> None:
    assert detect(text) == language
    assert outside(text, language, USUAL) == ""


@pytest.mark.parametrize("text", ["დღეს სკოლაში გაკვეთილი იყო.", "学校今天开学了。", "????? ?????? ????", "РЁРєРѕР»Р°"])
def test_what_cannot_be_read_is_undetermined_whatever_stands_around_it(text: str) -> None:
    assert detect(text) == UNDETERMINED
    assert outside(text, UNDETERMINED, USUAL) == "script"
    assert outside(text, "kk", USUAL) == "script"


def test_an_undetermined_line_with_letters_of_a_known_language_is_not_outside() -> None:
    assert outside("Бала", UNDETERMINED, USUAL) == ""
    assert outside("2024", UNDETERMINED, USUAL) == ""


def test_an_article_gives_its_language_to_what_is_undecided_and_not_to_what_cannot_be_read() -> None:
    article = ["Мемлекеттік қызметке кіру үшін тест тапсыру қажет.", "Бала", "2024", "学校今天开学了。"]
    assert languages(article) == ["kk", "kk", "kk", UNDETERMINED]
    assert languages(["2024"]) == [UNDETERMINED]


def test_a_model_knows_the_languages_of_its_rows_and_everything_if_their_names_are_its_own() -> None:
    assert known_languages(("kk-Latn", "ky")) == {"kk", "ky"}
    assert known_languages(("kaz_Cyrl", "rus_Cyrl")) == frozenset()
    assert outside("学校今天开学了。", "zh", ()) == ""


def page_lines() -> list[str]:
    """Every line of the pages in tests/data."""
    paths = sorted((ROOT / "tests/data").glob("pages*.jsonl"))
    pages = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [text for page in pages for _, line in page["lines"] if (text := prepare(line))]


def test_a_model_of_kazakh_and_russian_tells_every_line_as_before_languages_were_configuration() -> None:
    lines, among = page_lines(), told_among(load_languages(ROOT / "configs/pipeline.yaml"), {"kk", "ru"})
    found = [detect(line, among=among) for line in lines]
    counts = Counter(found)
    assert [counts[language] for language in ("ru", "kk", "en", "und", "kk-Latn")] == [1932, 1787, 672, 354, 20]
    assert sha256("\n".join(found).encode()) == "12972102a5cbce5bc71610755dcdc4946f3afe828f20135cdb77ae97d950acf7"


@pytest.mark.parametrize("trained", [("kk", "ru"), ("kk", "ky", "ru")])
def test_the_seeds_are_in_the_languages_that_they_say(trained: tuple[str, ...]) -> None:
    """Kyrgyz, Kazakh's neighbour, takes none of them."""
    among = told_among(USUAL, trained)
    rows = [row for name in ("exemplars", "challenge") for row in read_jsonl(ROOT / f"seeds/{name}.jsonl", Exemplar)]
    wrong = [row for row in rows if detect(prepare(row.text), among=among) != row.language]
    assert len(wrong) <= 1  # a Russian one that is half Kazakh names
    assert len(rows) > 5000


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("und", "Президент жарлыкка кол койду."),
        ("kk", "Ошто мектеп салынат."),
        ("kk", "Кыргыз Республикасынын Министрлер кабинети"),
        ("ky", "Ар бир адам билим алууга укуктуу."),
    ],
)
def test_a_language_that_is_expected_is_told_from_its_neighbours(before: str, text: str) -> None:
    assert detect(text) == before
    assert detect(text, among=USUAL | {"ky"}) == "ky"


@pytest.mark.parametrize(("language", "text"), [("ka", "დღეს სკოლაში გაკვეთილი იყო."), ("zh", "学校今天开学了。")])
def test_an_alphabet_of_a_known_language_can_be_read(language: str, text: str) -> None:
    assert detect(text, among=USUAL | {language}) == language
    assert outside(text, language, {language}) == ""
    assert outside("РЁРєРѕР»Р°", UNDETERMINED, {"ru", language}) == "script"


def test_a_model_tells_among_what_is_configured_and_what_it_learnt() -> None:
    assert told_among(USUAL, ("kk", "ru")) == {"kk", "ru", "en"}
    assert told_among(USUAL, ("ky-Cyrl", "kaz_Cyrl")) == {"kk", "ru", "en", "ky"}
    assert told_among({"ky"}, ("ky",)) == {"ky"}


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("[kk, kyrgyz]", "languages: 'kyrgyz' is none that can be told; write codes such as kk or ru"),
        ("[]", "languages: empty; name at least one"),
        ("kk", "languages: Expected `array`"),
    ],
)
def test_languages_that_cannot_be_told_are_refused(written: str, part: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"languages: {written}\n")
    with pytest.raises(UserError) as error:
        load_languages(path)
    assert part in str(error.value)
