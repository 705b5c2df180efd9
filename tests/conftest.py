"""Real rows from the seeds, and a tiny random encoder for tests that are about plumbing, not about meaning."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.core.io import read_jsonl
from pipeline.core.manifest import write_manifest
from pipeline.core.schemas import LabelledRow, Labels, Paragraph

ROOT = Path(__file__).parent.parent
THEMES = ("education", "prevention", "meritocracy", "digitalisation")

settings.register_profile("untimed", deadline=None)  # 200 ms an example is too little beside other work
settings.load_profile("untimed")

# An outer `dvc repro`, experiment or MLflow would lead the tests' own pipelines to the wrong repository or store.
for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_"))]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What makes floors fall is said out loud."""
    parser.addoption("--set-floors", action="store_true", help="take the committed figures as floors")
    parser.addoption("--lower", action="store_true", help="with --set-floors: even where a floor falls")
    parser.addoption("--set-golden", action="store_true", help="take what is answered now as what has to be answered")


@pytest.fixture(scope="session")
def labels() -> Labels:
    return Labels(task="multi-label", names=THEMES)


@pytest.fixture(scope="session")
def paragraphs() -> list[Paragraph]:
    """The kept paragraphs of the seeds."""
    from pipeline.core.settings import load_settings
    from pipeline.text.articles import read_articles
    from pipeline.text.boilerplate import Boilerplate
    from pipeline.text.segment import split_article

    boilerplate = load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate)
    return [
        kept for article in read_articles(ROOT / "seeds/articles") for kept in split_article(article, boilerplate)[0]
    ]


@pytest.fixture(scope="session")
def rows(paragraphs: list[Paragraph], labels: Labels) -> list[LabelledRow]:
    """The seeds' gold rows."""
    from pipeline.core.settings import load_settings
    from pipeline.labelling.annotations import bind
    from pipeline.labelling.label import LabelSettings, label_paragraphs
    from pipeline.labelling.rules import LabellingRules, RuleSettings

    rules = LabellingRules(load_settings(ROOT / "configs/rules.yaml", RuleSettings), labels)
    known = bind(ROOT / "seeds/annotations.jsonl", paragraphs, labels)
    return label_paragraphs(
        paragraphs,
        known,
        rules,
        LabelSettings(gold_weight=1.0, exemplar_weight=1.0, rule_weight=0.5, unasked_weight=0.5),
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], labels: Labels) -> Path:
    """A TF-IDF model folder, trained on the seeds' gold rows alone."""
    from pipeline.classifiers.base import Setup
    from pipeline.classifiers.model_folder import save_model_folder
    from pipeline.core.settings import load_settings
    from pipeline.text.boilerplate import Boilerplate
    from pipeline.training.train import train_model

    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    model, facts = train_model("tfidf", rows, setup, dict.fromkeys(THEMES, 0.4), 0.25)
    path = tmp_path_factory.mktemp("models") / "tfidf"
    save_model_folder(path, model, facts, load_settings(ROOT / "configs/boilerplate.yaml", Boilerplate))
    return path


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 4 layers, 32 wide, whose vocabulary is the seeds' characters; a window of 64 tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    text = "".join(path.read_text() for path in sorted((ROOT / "seeds/articles").glob("*.txt")))
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [*special, *sorted(set(text.lower().replace(" ", "▁")))]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, "<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=1,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    facts = {"source": "folder", "name": "tiny", "revision": "", "digest": "", "prefix": "", "pooling": "mean"}
    write_manifest(folder, "encoder", {**facts, "max_tokens": 160})
    return folder


def read_rows(path: Path) -> list[LabelledRow]:
    return read_jsonl(path, LabelledRow)
