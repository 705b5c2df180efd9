"""Articles -> folds: whole articles are held out together; a split that the table brings is respected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold

from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl, sha256, write_jsonl
from pipeline.core.schemas import FoldRow, LabelledRow, Split
from pipeline.core.settings import Count, Probability, Settings, load_section


class SplitSettings(Settings, frozen=True):
    """Section `split` of configs/pipeline.yaml."""

    folds: Count
    leave_one_out_up_to: Count
    seed: int
    exemplars: Probability


def run_split(labelled: Path, settings: Path, out: Path) -> None:
    """The stage `split`: reads training rows and writes in which fold each article is held out.

    Raises:
        UserError: if a file is missing or broken, or `assign_folds` refuses the rows.
    """
    rows = read_jsonl(labelled, LabelledRow)
    write_jsonl(out, assign_folds(rows, load_section(settings, "split", SplitSettings)))


def assign_folds(rows: Sequence[LabelledRow], settings: SplitSettings) -> list[FoldRow]:
    """One row an article, sorted by article. Articles with neither gold nor an exemplar are never held out.

    Without a given split: leave one article out up to `leave_one_out_up_to` gold articles, else `folds` groups of about
    the same number of rows. The share `exemplars` of the exemplars is `dev`: no fold learns them, so that thresholds
    can be chosen on them; which they are, and in which fold each is scored, the digest of its text says. With a given
    split: `test` and `dev` articles are fold 0; without `dev` a fifth of the training articles is set aside as `dev`,
    so that thresholds never see what they score.

    Raises:
        UserError: if fewer than two gold articles are there, or an article stands on two sides of a given split.
    """
    articles = sorted({row.article for row in rows})
    gold = sorted({row.article for row in rows if row.provenance == "gold"})
    if len(gold) < 2:
        way = "annotate more, or give fewer rows of a table the same article"
        raise UserError(f"{len(gold)} annotated article(s): at least 2 are needed to hold one out; {way}")
    if any(row.split for row in rows):
        return _given_folds(rows, articles, settings)
    folds = _gold_folds(rows, gold, settings)
    held_out = {article: FoldRow(article=article, fold=fold, role="test") for article, fold in folds.items()}
    for row in rows:
        # By the text alone, so that a row keeps its role and fold when others come or go.
        digest = sha256(row.text.encode())
        chance, fold = int(digest[:8], 16) / 2**32, int(digest[8:16], 16)
        if row.provenance == "exemplar" and chance < settings.exemplars:
            held_out[row.article] = FoldRow(article=row.article, fold=fold % len(set(folds.values())), role="dev")
    return [held_out.get(article, FoldRow(article=article, fold=None, role="train")) for article in articles]


def _gold_folds(rows: Sequence[LabelledRow], gold: Sequence[str], settings: SplitSettings) -> dict[str, int]:
    if len(gold) <= settings.leave_one_out_up_to:
        return {article: number for number, article in enumerate(gold)}
    if settings.folds < 2:
        raise UserError(f"split.folds: {settings.folds}, expected at least 2; mend the setting")
    groups = [row.article for row in rows if row.provenance == "gold"]
    splitter = GroupKFold(min(settings.folds, len(gold)), shuffle=True, random_state=settings.seed)
    held_out = enumerate(splitter.split(np.zeros(len(groups)), groups=groups))
    return {groups[index]: number for number, (_, indices) in held_out for index in indices}


def _given_folds(rows: Sequence[LabelledRow], articles: Sequence[str], settings: SplitSettings) -> list[FoldRow]:
    roles: dict[str, Split] = {}
    for row in rows:
        role = row.split or "train"
        if roles.setdefault(row.article, role) != role:
            both = f"article {row.article!r} stands in {roles[row.article]} and in {role}"
            raise UserError(f"row {row.id}: {both}; give all rows of an article the same split")
    if "test" not in roles.values():
        raise UserError("the given split has no test rows; mark some articles as test, or leave the column split out")
    if "dev" not in roles.values():
        training = [article for article in articles if roles[article] == "train"]
        rng = np.random.default_rng(settings.seed)
        for index in rng.permutation(len(training))[: max(1, len(training) // 5)]:
            roles[training[index]] = "dev"
    if "train" not in roles.values():
        raise UserError("the given split leaves no training rows; mark some articles as train")
    folds = {"train": None, "dev": 0, "test": 0}
    return [FoldRow(article=article, fold=folds[roles[article]], role=roles[article]) for article in articles]
