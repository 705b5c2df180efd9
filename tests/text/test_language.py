"""The language of paragraphs, short ones included, and what stands for it where there is none."""

import pytest

from pipeline.text.language import KNOWN, UNDETERMINED, detect, known_languages, languages, outside

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
    assert outside(text, language, KNOWN) == "language"
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
    assert outside(text, language, KNOWN) == ""


@pytest.mark.parametrize("text", ["დღეს სკოლაში გაკვეთილი იყო.", "学校今天开学了。", "????? ?????? ????", "РЁРєРѕР»Р°"])
def test_what_cannot_be_read_is_undetermined_whatever_stands_around_it(text: str) -> None:
    assert detect(text) == UNDETERMINED
    assert outside(text, UNDETERMINED, KNOWN) == "script"
    assert outside(text, "kk", KNOWN) == "script"


def test_an_undetermined_line_with_letters_of_a_known_language_is_not_outside() -> None:
    assert outside("Бала", UNDETERMINED, KNOWN) == ""
    assert outside("2024", UNDETERMINED, KNOWN) == ""


def test_an_article_gives_its_language_to_what_is_undecided_and_not_to_what_cannot_be_read() -> None:
    article = ["Мемлекеттік қызметке кіру үшін тест тапсыру қажет.", "Бала", "2024", "学校今天开学了。"]
    assert languages(article) == ["kk", "kk", "kk", UNDETERMINED]
    assert languages(["2024"]) == [UNDETERMINED]


def test_a_model_knows_the_languages_of_its_rows_and_everything_if_their_names_are_its_own() -> None:
    assert known_languages(()) == {"kk", "ru", "en"}
    assert known_languages(("kk-Latn", "ky")) == {"kk", "ky"}
    assert known_languages(("kaz_Cyrl", "rus_Cyrl")) == frozenset()
    assert outside("学校今天开学了。", "zh", ()) == ""
