"""Articles to paragraphs: which line of a news page is content, and for what reason another is not (codebook, rule 11).

pipeline/furniture.py knows what a line shows by itself. Here the rest is judged by where it stands: before the first
body paragraph it is the title or a menu, under "Read also" it belongs to a list, between two paragraphs it is a
subheading, after the last paragraph a box of facts or the page's foot. In doubt a line is kept. No line is lost: it is
kept, rejected with a reason, or blank, and `stage` counts them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise, takewhile

from pipeline.furniture import Furniture, Line, rules
from pipeline.language import UNDETERMINED, detect
from pipeline.records import Article, Paragraph, Record, Rejected
from pipeline.text import lines, prepare

__all__ = ["Counts", "Furniture", "split", "stage"]


class Counts(Record, frozen=True):
    """What became of an article's lines: `lines` is the sum of `blank`, `kept` and the values of `rejected`."""

    article: str
    lines: int
    blank: int
    kept: int
    rejected: dict[str, int]


def stage(articles: Sequence[Article], furniture: Furniture) -> tuple[list[Paragraph], list[Rejected], list[Counts]]:
    """The paragraphs and the rejected lines of all articles, and the counts of each."""
    paragraphs: list[Paragraph] = []
    rejected: list[Rejected] = []
    counts: list[Counts] = []
    for article in articles:
        kept, dropped = split(article, furniture)
        total = len(lines(article.text))
        reasons = dict(sorted(Counter(row.reason for row in dropped).items()))
        blank = total - len(kept) - len(dropped)
        counts.append(Counts(article=article.id, lines=total, blank=blank, kept=len(kept), rejected=reasons))
        paragraphs += kept
        rejected += dropped
    return paragraphs, rejected, counts


def split(article: Article, furniture: Furniture) -> tuple[list[Paragraph], list[Rejected]]:
    """The article's content as paragraphs, in order, and its other lines with the reason; blank lines are in neither.

    Paragraphs are numbered among themselves, so furniture more or less never renames one.
    """
    page = [Line(number, text) for number, line in enumerate(lines(article.text), 1) if (text := prepare(line))]
    judge = rules(furniture).judge
    for line in page:
        judge(line)
    _place(page)
    _reject_repeats(page)
    kept = [line for line in page if not line.reason]
    paragraphs = [
        Paragraph(
            id=f"{article.id}-{position:03d}",
            article=article.id,
            position=position,
            kind=line.kind,
            language=language,
            text=line.text,
        )
        for position, (line, language) in enumerate(zip(kept, _languages(kept), strict=True), 1)
    ]
    rejected = [
        Rejected(article=article.id, line=line.number, reason=line.reason, text=line.text)
        for line in page
        if line.reason
    ]
    return paragraphs, rejected


def _languages(kept: list[Line]) -> list[str]:
    """Each line's language; an undecided one takes the language that most of the article's text is in."""
    found = [detect(line.text) for line in kept]
    amounts: Counter[str] = Counter()
    for line, language in zip(kept, found, strict=True):
        if language != UNDETERMINED:
            amounts[language] += len(line.text)
    majority = max(amounts, key=lambda language: amounts[language], default=UNDETERMINED)
    return [majority if language == UNDETERMINED else language for language in found]


def _reject_repeats(page: list[Line]) -> None:
    """Rejects what an earlier kept line says too, and what is the beginning of another: cut, or without its full stop.

    A title may open the lead, and a beginning of fewer than five words may be a subheading.
    """
    kept = [line for line in page if not line.reason]
    keys = sorted(line.key for line in kept)
    seen: set[str] = set()
    for line in kept:
        following = bisect_right(keys, line.key)
        longer = keys[following] if following < len(keys) else ""
        rest = longer[len(line.key) :] if longer.startswith(line.key) else ""
        cut = line.ends == "…" or (line.ends not in ".!?:;" and not rest[:1].isalnum())
        if line.key in seen or (rest and cut and line.kind != "title" and line.words >= 5):
            line.reason = "repeat"
        seen.add(line.key)


def _place(page: list[Line]) -> None:
    """Judges the lines that look like headlines by their neighbours. Without a body paragraph all of them stay."""
    bodies = [index for index, line in enumerate(page) if line.body and not line.reason]
    if not bodies:
        return
    # An unfinished line of two sentences may be a headline: «Это труд». Интервью с пасечником
    ended = (index for index in bodies if page[index].ends in ".!?…:;" or page[index].words >= 25)
    first, last = next(ended, bodies[0]), bodies[-1]
    lead = {stem for index in [index for index in bodies if index >= first][:3] for stem in page[index].stems}
    _place_top(page[:first], lead, {stem for index in bodies for stem in page[index].stems})
    title = {stem for line in page[:first] if line.kind == "title" for stem in line.stems}
    _place_middle(page[first : last + 1], title)
    _drop_headlines(page[first : last + 1], 5, page)
    _place_tail(page[last + 1 :], listing=page[last].ends == ":" or page[last].kind == "item")
    _drop_headlines(page[last + 1 :], 3, page)


# ---- before the first paragraph --------------------------------------------------------------------------------------


def _place_top(top: list[Line], lead: set[str], topic: set[str]) -> None:
    """Before the first paragraph the title stays, and one line more that may be it or its subtitle.

    The list under a heading ends with the next furniture.
    """
    free: list[Line] = []
    listed: list[Line] = []
    section = ""
    for line in top:
        if line.reason:
            section = line.reason if line.heading else ""
        else:
            if line.kind == "body" and line.words >= 3:
                (listed if section else free).append(line)
            if not line.body:
                line.reason = section or "menu"
    for position, line in enumerate(_titles(free, top, lead) or _listed_title(listed, topic)):
        line.reason, line.kind = "", "body" if position else "title"


def _titles(pool: list[Line], top: list[Line], lead: set[str]) -> list[Line]:
    """The title and what else may be one: the last two lines, better those that speak of the topic or are repeated."""
    keys = Counter(re.split(r" [»>›→/|] ", line.key)[-1] for line in top)
    repeated = [keys[line.key] > 1 for line in pool]
    shared = [len(line.stems & lead) + 2 * again for line, again in zip(pool, repeated, strict=True)]
    strong = [index for index, line in enumerate(pool) if shared[index] and 3 * shared[index] >= len(line.stems)]
    if not strong:
        pair = pool[-2:]
        apart = len(pair) == 2 and pair[1].number - pair[0].number > 1
        swap = shared[-1:] > shared[-2:-1] or (apart and shared[-1:] == shared[-2:-1])
        return pair[::-1] if swap else pair
    last = strong[-1]
    group = {last} | {index for index in strong if index == last - 1 and shared[index] >= 2}
    best = max(strong, key=lambda index: shared[index])
    title = best if best not in group or repeated[best] else min(group)
    return [pool[title], *(pool[index] for index in sorted(group | {best}) if index != title)]


def _listed_title(pool: list[Line], topic: set[str]) -> list[Line]:
    """The last of the headlines under a heading that speaks of the topic."""
    return [line for line in pool if 0 < len(line.stems) <= 3 * len(line.stems & topic)][-1:]


# ---- from the first paragraph to the last ----------------------------------------------------------------------------


def _place_middle(middle: list[Line], title: set[str]) -> None:
    """Between paragraphs only a heading's list goes, and what by itself is furniture without a doubt.

    Items go on after a heading that fell among them if they are written like parts of a sentence.
    """
    introduced = False
    for doubtful, group in groupby(middle, key=lambda line: line.doubtful):
        run = list(group)
        if doubtful and (len(run) < 3 or introduced):
            for line in run:
                line.reason, line.heading = "", False
        introduced = run[-1].ends == ":"
    section: list[Line] = []
    listing = False
    for line in middle:
        if line.reason:
            if line.heading:
                section = [line]
        elif line.body:
            _free_subheading(section, line, title)
            section, listing = [], line.ends == ":" or line.kind == "item"
        elif section and not (listing and line.continues):
            line.reason = section[0].reason
            section.append(line)
        elif line.kind == "item":
            listing = True


def _free_subheading(section: list[Line], body: Line, title: set[str]) -> None:
    """Keeps a list's last line if it is the next paragraph's subheading: set off from the list, or on the topic."""
    if len(section) < 3:
        return
    gaps = [after.number - before.number for before, after in pairwise([*section, body])]
    set_off = gaps[-1] == 1 < gaps[-2] and set(gaps[:-2]) == {1}
    last = section[-1]
    shared = len(last.stems & (body.stems | title))
    if set_off or (shared >= 2 and 2 * shared >= len(last.stems)):
        last.reason = ""


def _drop_headlines(part: list[Line], least: int, page: list[Line]) -> None:
    """Rejects so many headlines in sequence that no colon introduces and that mostly speak of something else."""
    introduced, topic = False, set[str]()
    unknown = [line for line in part if not line.reason or line.closes]
    for headlines, group in groupby(unknown, key=lambda line: line.headline and not line.reason):
        run = list(group)
        if headlines and len(run) >= least and not introduced and not _box(run):
            topic = topic or {stem for line in page if line.body and not line.reason for stem in line.stems}
            words = [line.stems for line in run]
            if sum(map(len, words)) > 3 * sum(len(own & topic) for own in words):
                for line in run:
                    line.reason = "headlines"
        introduced = run[-1].ends == ":" and not run[-1].reason


# ---- after the last paragraph ----------------------------------------------------------------------------------------


def _box(run: list[Line]) -> bool:
    """Whether these are rows of a box of facts: two, and a third of all, have a key and a value."""
    pairs = sum(line.pair for line in run)
    return pairs >= 2 and 3 * pairs >= len(run)


def _place_tail(tail: list[Line], listing: bool) -> None:
    """Behind the last paragraph a box of facts stays, and lines before the first furniture that closes an article.

    Scraps of up to three words go. Items of the article's last list stay as in the middle.
    """
    block = list(takewhile(lambda line: line.doubtful or not (line.reason and (line.closes or line.heading)), tail))
    if _box([line for line in block if not line.reason]):
        for line in block:
            line.reason = "" if line.doubtful else line.reason
        tail = tail[len(block) :]
    section = ""
    for line in tail:
        if line.reason:
            if line.heading or line.closes:
                section = line.reason
        elif section:
            if not (listing and line.continues):
                line.reason = section
        elif line.kind == "item":
            listing = True
        elif not listing and line.words <= 3 and line.ends != ":":
            line.reason = "scrap"
