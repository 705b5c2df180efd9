"""What a line of a news page is by where it stands: title, subheading, box of facts, or an entry of a menu or list.

Before the first body paragraph a line is the title or a menu, under "Read also" it belongs to a list, between two
paragraphs it is a subheading, after the last one part of a box of facts or of the page's foot. In doubt a line is kept:
content lost is worse than boilerplate kept. docs/LOG.md has what was measured (page furniture).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

from pipeline.text.boxes import keep_box, keep_table, stems
from pipeline.text.foot import judge_end, last_of_article
from pipeline.text.lines import Line

_BREADCRUMB = re.compile(r" [»>›→/|] ")


def judge_by_place(page: list[Line]) -> None:
    """Gives lines that look like headlines a reason if their place does. Without a body paragraph all of them stay."""
    bodies = [index for index, line in enumerate(page) if line.is_body and not line.reason]
    if not bodies:
        return
    # An unfinished line of two sentences may be a headline: «Это труд». Интервью с пасечником
    finished = (index for index in bodies if page[index].last_mark in ".!?…:;" or page[index].words >= 25)
    first, last = next(finished, bodies[0]), last_of_article(page, bodies)
    top = page[:first]
    _judge_top(top, [page[index] for index in bodies if index >= first])
    _judge_middle(page[first : last + 1], stems(line for line in top if line.kind == "title"))
    judge_end(page, last)


def _judge_top(top: list[Line], bodies: list[Line]) -> None:
    """Keeps the title, and one or two lines more that may be it or its subtitle; the rest is a menu or a list."""
    unknown = [list(run) for known, run in groupby(top, key=lambda line: bool(line.reason)) if not known]
    lone = [run[0] for run in unknown if len(run) == 1]
    free, listed = _title_candidates(top)
    repeated = {key for key, count in Counter(_BREADCRUMB.split(line.key)[-1] for line in top).items() if count > 1}
    titles = _free_titles(free, stems(bodies[:3]), repeated) or _fallback_titles(free, listed, bodies)
    if not titles and not any(line.is_body and not line.reason for line in top):
        titles = _short_title(lone, top, bodies[0])
    # A short line on the topic over the one found, with nothing else beside the two, is the title of that subtitle.
    titles = [*(run[0] for run in unknown if len(run) == 2 and _is_over(run, titles, stems(bodies))), *titles]
    for position, line in enumerate(titles):
        line.reason, line.kind = "", "body" if position else "title"


def _is_over(run: Sequence[Line], titles: Sequence[Line], topic: set[str]) -> bool:
    over, under = run
    if over.reason != "menu" or over.kind != "body" or over in titles or under not in titles:
        return False
    return not over.stems.isdisjoint(topic)


def _title_candidates(top: list[Line]) -> tuple[list[Line], list[Line]]:
    """Rejects what is in a list or short enough for a menu; returns what may be the title: free lines, and listed ones.

    A list begins with a heading and ends with the next boilerplate.
    """
    free: list[Line] = []
    listed: list[Line] = []
    section = ""
    for line in top:
        if line.reason:
            section = line.reason if line.heads_list else ""
            continue
        if line.kind == "body" and line.words >= 3:
            (listed if section else free).append(line)
        # Of the lines of menus 3% are longer than this, and half of the content.
        if not line.is_body and (section or (line.words < 9 and len(line.text) < 70)):
            line.reason = section or "menu"
    return free, listed


def _free_titles(free: list[Line], lead: set[str], repeated: set[str]) -> list[Line]:
    """The title first, then what else may be it, of lines with a third of their words in the lead.

    On the pages in tests/data 90 of 113 titles have them, and 25 of 526 headlines of other articles. The last of these
    lines, with the one before it, is mostly title and subtitle. A line that stands there twice, once behind breadcrumbs
    ("Новости » …"), counts as if it had two words more in the lead.
    """
    shared = [len(line.stems & lead) + 2 * (line.key in repeated) for line in free]
    strong = [index for index, line in enumerate(free) if shared[index] and 3 * shared[index] >= len(line.stems)]
    if not strong:
        return []
    last = strong[-1]
    pair = [last - 1, last] if last - 1 in strong and shared[last - 1] >= 2 else [last]
    best = max(strong, key=lambda index: shared[index])
    title = best if best not in pair or free[best].key in repeated else pair[0]
    return [free[title], *(free[index] for index in sorted({*pair, best}) if index != title)]


def _fallback_titles(free: list[Line], listed: list[Line], bodies: list[Line]) -> list[Line]:
    """A listed line that speaks of the topic, then the last two free lines, of which any may be the title.

    Beside free lines a listed one needs two words, and a third of its own, in the lead, as 85 of 113 titles have and 8
    of 526 headlines of other articles. Without free lines the list's last may be the title that ran into the list: one
    word and half of its own are enough, in any paragraph.
    """
    lead = stems(bodies[:3])
    if free:
        on_topic = [line for line in listed if _speaks_of(line, lead, least=2, one_in=3)]
    else:
        on_topic = [line for line in listed[-1:] if _speaks_of(line, stems(bodies), least=1, one_in=2)]
    # That free line first which shares more with the lead; of two alike the first of a block, else the last.
    pair = free[-2:]
    apart = len(pair) == 2 and pair[1].number - pair[0].number > 1
    by_topic = sorted(pair[::-1] if apart else pair, key=lambda line: -len(line.stems & lead))
    return [*on_topic[-1:], *by_topic]


def _speaks_of(line: Line, topic: set[str], least: int, one_in: int) -> bool:
    """Whether at least so many words of a line, and one in so many, are the topic's."""
    shared = len(line.stems & topic)
    return shared >= least and one_in * shared >= len(line.stems)


def _short_title(lone: list[Line], top: list[Line], first: Line) -> list[Line]:
    """Two words that stand alone, for want of a better title; or the only name if the first paragraph tells of it."""
    alone = [line for line in lone if line.words == 2 and line.reason == "menu"]
    named = [line for line in top if line.doubtful and line.reason == "by-line" and line.stems & first.stems]
    return next((pool for pool in (alone[-1:], named) if len(pool) == 1 and pool[0].kind == "body"), [])


def _judge_middle(middle: list[Line], title: set[str]) -> None:
    """Rejects a heading's list alone; single lines stay, but for what by itself is boilerplate without a doubt.

    Of these, lone section names and contacts cost a third of a point of the content (docs/LOG.md). Items go on after a
    heading that fell among them if they are written like parts of a sentence.
    """
    introduced = False
    for is_body, group in groupby(middle, key=lambda line: line.is_body and not line.reason):
        run = list(group)
        if not is_body:
            keep_box(run, introduced)
            keep_table(run)
        introduced = run[-1].last_mark == ":"
    section: list[Line] = []
    listing = False
    for line in middle:
        if line.reason:
            if line.heads_list:
                section = [line]
        elif line.is_body:
            _keep_subheading(section, line, title)
            section, listing = [], line.last_mark == ":" or line.kind == "item"
        elif section and not (listing and line.continues_sentence):
            line.reason = section[0].reason
            section.append(line)
        elif line.kind == "item":
            listing = True


def _keep_subheading(section: list[Line], body: Line, title: set[str]) -> None:
    """Keeps a list's last line if it is the next paragraph's subheading: set off from the list, or on the topic."""
    if len(section) < 3:  # a heading and one line: that line is its list
        return
    gaps = [after.number - before.number for before, after in pairwise([*section, body])]
    is_set_off = gaps[-1] == 1 < gaps[-2] and set(gaps[:-2]) == {1}
    words = section[-1].stems
    in_body, in_title = words & body.stems, words & title
    if is_set_off or (in_body and in_title and 2 * len(in_body | in_title) >= len(words)):
        section[-1].reason = ""
