"""Real rows from the seeds, and a tiny random encoder for tests that are about plumbing, not about meaning."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.manifest import write_manifest
from pipeline.records import LabelledRow, Labels, Paragraph
from pipeline.storage import read_jsonl

ROOT = Path(__file__).parent.parent
THEMES = ("education", "prevention", "meritocracy", "digitalisation")

# An outer `dvc repro`, experiment or MLflow would lead the tests' own pipelines to the wrong repository or store.
for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_"))]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What makes floors fall is said out loud."""
    parser.addoption("--set-floors", action="store_true", help="take the committed figures as floors, lower ones too")
    parser.addoption("--set-golden", action="store_true", help="take what is answered now as what has to be answered")


@pytest.fixture(scope="session")
def labels() -> Labels:
    return Labels(task="multi-label", names=THEMES)


@pytest.fixture(scope="session")
def paragraphs() -> list[Paragraph]:
    """The kept paragraphs of the seeds."""
    from pipeline.paragraphs import Furniture, split
    from pipeline.readers import read_articles
    from pipeline.settings import load

    furniture = load(ROOT / "configs/furniture.yaml", Furniture)
    return [kept for article in read_articles(ROOT / "seeds/articles") for kept in split(article, furniture)[0]]


@pytest.fixture(scope="session")
def rows(paragraphs: list[Paragraph], labels: Labels) -> list[LabelledRow]:
    """The seeds' gold rows."""
    from pipeline.annotations import bind
    from pipeline.label import LabelSettings, label_paragraphs
    from pipeline.rules import Rules, RuleSettings
    from pipeline.settings import load

    rules = Rules(load(ROOT / "configs/rules.yaml", RuleSettings), labels.names)
    known = bind(ROOT / "seeds/annotations.jsonl", paragraphs, labels)
    return label_paragraphs(
        paragraphs, known, labels, rules, LabelSettings(gold_weight=1.0, exemplar_weight=1.0, rule_weight=0.5)
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: list[LabelledRow], labels: Labels) -> Path:
    """A TF-IDF model folder, trained on the seeds' gold rows alone."""
    from pipeline.classifiers import Setup
    from pipeline.model_folder import save
    from pipeline.paragraphs import Furniture
    from pipeline.settings import load
    from pipeline.train import train

    setup = Setup(labels, ROOT / "configs/tfidf.yaml", None, 1, 0)
    model, facts = train("tfidf", rows, setup, dict.fromkeys(THEMES, 0.4), 0.05)
    path = tmp_path_factory.mktemp("models") / "tfidf"
    save(path, model, facts, load(ROOT / "configs/furniture.yaml", Furniture))
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
