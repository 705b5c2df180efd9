"""Versions of the registered model: the candidate is the newest, the champion moves only for a reason.

A reason is: there is none yet, a comparison that is better beyond noise, or a choice by hand with `taqyryp promote`,
kept in a committed file so that a rebuilt store honours it. An alias set in MLflow itself stays until someone promotes.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl, write_text
from pipeline.core.manifest import MANIFEST
from pipeline.core.schemas import ScoredRow
from pipeline.core.settings import Positive, Settings
from pipeline.evaluation.compare import compare_models
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.evaluation.metrics import ScoredTable
from pipeline.tracking.logged import RESULT
from pipeline.tracking.results import TrackedResult
from pipeline.tracking.runs import note
from pipeline.tracking.store import SQLITE, Store, StoreError, connect, elsewhere, local_artifacts, one_line, with_store

REGISTERED = "taqyryp"
CANDIDATE, CHAMPION = "candidate", "champion"
JUDGED, BY_HAND, FIRST = "judged", "promoted_by_hand", "first_version"
CROWNED, SET_IN_MLFLOW = "champion_by_taqyryp", "no, it was set in MLflow"  # a tag of the registered model
BY_HAND_SECONDS = 60  # what someone who calls a command may wait for the store, for each result
Version = Any  # mlflow.entities.model_registry.ModelVersion, whose type MLflow does not export to type checkers


class TrackingSettings(Settings, frozen=True):
    """Section `tracking` of configs/pipeline.yaml."""

    candidate: str
    patience: Positive


class ChampionChoice(Settings, frozen=True):
    """configs/champion.yaml: the result that someone chose, by key and by name."""

    result: str
    name: str


def register_version(store: Store, result: TrackedResult, run: Any) -> Version | None:
    """The version of what people serve of a result's run, made if there is none; None without a model.

    MLflow points no version to another run. So a new one takes the place of one whose run was lost, aliases included.
    """
    if not result.folders:
        return None
    known = store.client.search_model_versions(f"name = '{REGISTERED}' and tag.{RESULT} = '{result.key}'")
    alive = [version for version in known if _is_alive(store, version, run)]
    version = alive[0] if alive else _register(store, result, run, known)
    for old in known:
        if old not in alive:
            for alias, number in store.client.get_registered_model(REGISTERED).aliases.items():
                if str(number) == str(old.version):
                    store.client.set_registered_model_alias(REGISTERED, alias, version.version)
            store.client.delete_model_version(REGISTERED, old.version)
    return version


def _is_alive(store: Store, version: Version, run: Any) -> bool:
    """Whether a version is of this run, or of one in another experiment that is still there."""
    if version.run_id == run.info.run_id:
        return True
    try:
        other = store.client.get_run(version.run_id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return bool(other.experiment_id != run.info.experiment_id and other.lifecycle_stage == "active")


def _register(store: Store, result: TrackedResult, run: Any, known: Sequence[Version]) -> Version:
    """A new version, with the tags and the age of those of this result that are known or were deleted by someone."""
    tags = {RESULT: result.key, "model": result.model, "name": result.folders[-1].name}
    for old in known:
        tags |= old.tags
    logged = [store.client.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
    (model,) = (model for model in logged if model.name == result.folders[-1].kind)
    listed = json.loads(model.tags.get("mlflow.modelVersions", "[]"))
    ages = [int(entry["version"]) for entry in listed] + [_age(old) for old in known]
    tags |= {FIRST: str(min(ages))} if ages else {}
    if ages and not known:
        tags |= {JUDGED: "before it was deleted"}
    version = mlflow.register_model(f"models:/{model.model_id}", REGISTERED, tags=tags)
    store.client.update_model_version(REGISTERED, version.version, note(result))
    store.client.update_registered_model(REGISTERED, "Themes of Kazakh and Russian news paragraphs")
    return version


def _age(version: Version) -> int:
    """The number by which a version is older or newer than another: that of the first version of its result."""
    return int(version.tags.get(FIRST, version.version))


def registered_versions(store: Store) -> dict[str, Version]:
    """All versions by their number, oldest first."""
    versions = store.client.search_model_versions(f"name = '{REGISTERED}'", order_by=["version_number ASC"])
    return {str(version.version): version for version in versions}


def move_aliases(store: Store, kind: str, chosen: ChampionChoice | None, evaluation: EvaluationSettings) -> str:
    """Points `candidate` to the newest version of `kind`, moves `champion` if there is a reason, and says what it did.

    A candidate is judged once: what someone promotes afterwards is not overruled by it.
    """
    versions = registered_versions(store)
    candidates = [version for version in versions.values() if version.tags.get("model") == kind]
    if not candidates:
        return f"no version of {kind} yet"
    _crown_chosen(store, versions.values(), chosen)
    # Trouble of the store is an error here, never the answer that there is no champion.
    registered = store.client.get_registered_model(REGISTERED)
    aliases = {alias: str(number) for alias, number in registered.aliases.items()}
    candidate, champion = max(candidates, key=_age), versions.get(aliases.get(CHAMPION, ""))
    if aliases.get(CANDIDATE) != str(candidate.version):
        store.client.set_registered_model_alias(REGISTERED, CANDIDATE, candidate.version)
    if champion is None:
        return _crown(store, candidate, "the first")
    held = ", where someone set it in MLflow" if _was_set_in_mlflow(store, registered, champion) else ""
    if champion.version == candidate.version or JUDGED in candidate.tags:
        return f"champion stays {champion.tags.get('name')} (version {champion.version}){held}"
    try:
        with store.not_waiting():
            verdict = _verdict(candidate, champion, evaluation)
    except (MlflowException, OSError) as error:  # the run or its files are gone: not judged yet
        return (
            f"candidate version {candidate.version} can't be compared with version {champion.version}, which stays "
            f"champion ({one_line(error)}); `taqyryp track --all-experiments` writes lost runs again"
        )
    said = f"candidate version {candidate.version} is {verdict}: champion stays version {champion.version}{held}"
    if verdict == "better" and held:
        said += f"; `taqyryp promote {candidate.version}` moves it"
    elif verdict == "better":
        said = _crown(store, candidate, f"better than version {champion.version} beyond noise")
    store.client.set_model_version_tag(REGISTERED, candidate.version, JUDGED, f"{verdict} ({champion.version})")
    return said


def _crown_chosen(store: Store, versions: Iterable[Version], chosen: ChampionChoice | None) -> None:
    for version in versions:
        if chosen and version.tags.get(RESULT) == chosen.result and BY_HAND not in version.tags:
            _crown(store, version, "chosen by hand", by_hand=True)


def _was_set_in_mlflow(store: Store, registered: Any, champion: Version) -> bool:
    """Whether someone moved the champion in MLflow since we last did. The answer holds until someone promotes one."""
    last, now = registered.tags.get(CROWNED), champion.tags.get(RESULT, f"version {champion.version}")
    moved = last not in (None, now)  # None: a store of before there was this tag, or a kill before it was set
    if last not in (now, SET_IN_MLFLOW):
        store.client.set_registered_model_tag(REGISTERED, CROWNED, SET_IN_MLFLOW if moved else now)
    return moved


def _crown(store: Store, version: Version, why: str, by_hand: bool = False) -> str:
    store.client.delete_registered_model_tag(REGISTERED, CROWNED)
    store.client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    store.client.set_registered_model_tag(REGISTERED, CROWNED, version.tags[RESULT])
    if by_hand:
        store.client.set_model_version_tag(REGISTERED, version.version, BY_HAND, "true")
    return f"champion is now {version.tags.get('name')} (version {version.version}): {why}"


def _verdict(candidate: Version, champion: Version, evaluation: EvaluationSettings) -> str:
    """What the comparison says of the candidate on the gold that both were scored on."""
    rows = {}
    for name, version in ((CANDIDATE, candidate), (CHAMPION, champion)):
        path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="scored.jsonl")
        scored = read_jsonl(Path(path), ScoredRow)
        rows[name] = {(row.id, row.text, row.article, row.targets, row.known): row for row in scored}
    common = rows[CANDIDATE].keys() & rows[CHAMPION].keys()
    if 2 * len(common) < len(rows[CANDIDATE]):
        return "not comparable"
    tables = {name: ScoredTable.from_rows([row for gold, row in rows[name].items() if gold in common]) for name in rows}
    return str(compare_models(tables, evaluation)[0]["verdict"])


def promote_version(version: str, choice: Path) -> str:
    """Makes a version the champion, writes the choice down, and says so.

    Raises:
        UserError: if there is no such version.
        StoreError: if MLflow can't be reached.
    """

    def promote(store: Store) -> str:
        versions = registered_versions(store)
        if version not in versions:
            raise UserError(f"version {version} is not one of {', '.join(versions) or 'none yet'} of {REGISTERED}")
        tags = versions[version].tags
        write_text(
            choice,
            "# The champion that `taqyryp promote` was told; a rebuilt MLflow store honours it. Commit this file.\n"
            f"result: {tags[RESULT]}\nname: {tags['name']}\n",
        )
        return _crown(store, versions[version], "chosen by hand", by_hand=True)

    return with_store(promote, BY_HAND_SECONDS)


def fetch_model(uri: str) -> Path:
    """The model folder behind an MLflow URI such as models:/taqyryp@champion. Reading it writes nothing to the store.

    Raises:
        StoreError: if MLflow has no such model or can't be reached, or the model lies outside the store's checkout.
        UserError: if it holds another kind of model.
    """
    where = connect()
    artifacts = local_artifacts(where)
    if artifacts and not Path(where.removeprefix(SQLITE)).is_file():
        raise StoreError(f"{uri}: there is no MLflow store yet ({where}); run `taqyryp track`")
    try:
        # models:/ and runs:/ stand for another place, which a `file:` names itself.
        repository = get_artifact_repository(uri)
        place = repository.repo.artifact_uri if hasattr(repository, "repo") else uri
        if artifacts and place != uri and not place.startswith(f"{artifacts}/"):
            raise elsewhere(where, place)
        if artifacts and isinstance(repository, ModelsArtifactRepository):
            folder = Path(url2pathname(urlparse(place).path))  # MLflow would write a file into it
        else:  # copied, for as long as this process lives
            copy = tempfile.mkdtemp(prefix="taqyryp-")
            atexit.register(shutil.rmtree, copy, ignore_errors=True)
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=copy))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StoreError(f"{uri}: {one_line(error)} (MLflow at {where})") from error
    for manifest in folder.glob(f"artifacts/*/{MANIFEST}"):
        return manifest.parent
    raise UserError(
        f"{uri}: {folder} holds no model of this project (artifacts/<model>/{MANIFEST}); if it was lost, "
        "`taqyryp track --all-experiments` writes it again"
    )
