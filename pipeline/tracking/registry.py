"""Versions of the registered model: the candidate is the newest, the champion moves only for a reason.

A reason is: there is none yet, a comparison that is better beyond noise, or a choice made by hand with `taqyryp
promote`, which is kept in a committed file so that a rebuilt store honours it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import mlflow
import msgspec
from mlflow.exceptions import MlflowException

from pipeline.core.errors import UserError
from pipeline.core.io import read_jsonl, write_text
from pipeline.core.manifest import MANIFEST as MANIFEST
from pipeline.core.schemas import ScoredRow
from pipeline.core.settings import Positive, Settings, load_settings
from pipeline.evaluation.compare import compare_models
from pipeline.evaluation.evaluate import EvaluationSettings
from pipeline.evaluation.metrics import ScoredTable
from pipeline.tracking.results import TrackedResult
from pipeline.tracking.runs import RESULT, Run, note
from pipeline.tracking.store import SQLITE, Store, StoreError, project_root, tracking_uri, with_store

REGISTERED = "taqyryp"
CANDIDATE, CHAMPION = "candidate", "champion"
JUDGED, BY_HAND = "judged", "promoted_by_hand"
Version = Any  # mlflow.entities.model_registry.ModelVersion


class TrackingSettings(Settings, frozen=True):
    """Section `tracking` of configs/pipeline.yaml."""

    candidate: str
    patience: Positive


class ChampionChoice(Settings, frozen=True):
    """The content of configs/champion.yaml: the result that someone chose, by key and by name."""

    result: str
    name: str


def register_version(store: Store, result: TrackedResult, run: Run) -> Version | None:
    """The version of a result, made if there is none; None for a model without a folder."""
    if result.folder is None:
        return None
    known = {version.tags.get(RESULT): version for version in registered_versions(store)}
    if result.key in known:
        return known[result.key]
    if not known and not store.client.search_registered_models(f"name = '{REGISTERED}'"):
        store.client.create_registered_model(REGISTERED, description="Themes of Kazakh and Russian news paragraphs")
    model_id = run.outputs.model_outputs[0].model_id
    version = store.client.create_model_version(
        REGISTERED,
        source=f"models:/{model_id}",
        run_id=run.info.run_id,
        tags={RESULT: result.key, "model": result.model, "name": result.name},
        description=note(result),
        model_id=model_id,
    )
    # What mlflow.register_model does, too: the logged model's page then shows the version.
    shown = msgspec.json.encode([{"name": REGISTERED, "version": version.version}]).decode()
    store.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": shown})
    return version


def registered_versions(store: Store) -> list[Version]:
    """All versions, oldest first."""
    found = store.client.search_model_versions(f"name = '{REGISTERED}'")
    return sorted(found, key=lambda version: int(version.version))


def move_aliases(store: Store, kind: str, chosen: ChampionChoice | None, evaluation: EvaluationSettings) -> str:
    """Points `candidate` to the newest version of `kind`, moves `champion` if there is a reason, and says what it did.

    A candidate is judged once: what someone promotes afterwards is not overruled by it.
    """
    known = registered_versions(store)
    candidates = [version for version in known if version.tags.get("model") == kind]
    if not candidates:
        return f"no version of {kind} yet"
    # Trouble of the store is an error here, never the answer that there is no champion.
    pointed = {alias: str(number) for alias, number in store.client.get_registered_model(REGISTERED).aliases.items()}
    candidate = candidates[-1]
    champion = next((version for version in known if str(version.version) == pointed.get(CHAMPION)), None)
    if pointed.get(CANDIDATE) != str(candidate.version):
        store.client.set_registered_model_alias(REGISTERED, CANDIDATE, candidate.version)
    by_hand = next((version for version in known if chosen and version.tags.get(RESULT) == chosen.result), None)
    if by_hand and BY_HAND not in by_hand.tags:
        _crown(store, by_hand, "chosen by hand")
        store.client.set_model_version_tag(REGISTERED, by_hand.version, BY_HAND, "true")
        champion = by_hand
    if champion is None:
        return _crown(store, candidate, "the first")
    if champion.version == candidate.version or JUDGED in candidate.tags:
        return f"champion stays {champion.tags.get('name')} (version {champion.version})"
    verdict = _verdict(_scored(store, candidate), _scored(store, champion), evaluation)
    if verdict == "better":
        _crown(store, candidate, f"better than version {champion.version} beyond noise")
    store.client.set_model_version_tag(REGISTERED, candidate.version, JUDGED, f"{verdict} ({champion.version})")
    moved = "is now" if verdict == "better" else "stays"
    holder = candidate if verdict == "better" else champion
    return f"candidate version {candidate.version} is {verdict}: champion {moved} version {holder.version}"


def _crown(store: Store, version: Version, why: str) -> str:
    store.client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    return f"champion is now {version.tags.get('name')} (version {version.version}): {why}"


def _scored(store: Store, version: Version) -> list[ScoredRow]:
    path = mlflow.artifacts.download_artifacts(
        run_id=version.run_id, artifact_path="scored.jsonl", tracking_uri=store.uri
    )
    return read_jsonl(Path(path), ScoredRow)


def _verdict(
    candidate: Sequence[ScoredRow], champion: Sequence[ScoredRow], evaluation: EvaluationSettings
) -> Literal["better", "worse", "within noise", "not comparable"]:
    """What the comparison says of the candidate, on the gold that both were scored on."""

    def gold(row: ScoredRow) -> tuple[Any, ...]:
        return row.id, row.text, row.article, row.targets, row.known

    both = {gold(row) for row in candidate} & {gold(row) for row in champion}
    if 2 * len(both) < len(candidate):
        return "not comparable"
    tables = {
        name: ScoredTable.of([row for row in rows if gold(row) in both])
        for name, rows in (("candidate", candidate), ("champion", champion))
    }
    verdict: Literal["better", "worse", "within noise"] = compare_models(tables, evaluation)[0]["verdict"]
    return verdict


# ---- by hand ---------------------------------------------------------------------------------------------------------


def read_champion_choice(path: Path) -> ChampionChoice | None:
    """The champion that was chosen by hand, if one was."""
    return load_settings(path, ChampionChoice) if path.is_file() else None


def run_promote(version: str, choice: Path) -> str:
    """The command `promote`; what it did.

    Raises:
        StoreError: if MLflow can't be reached.
        UserError: if there is no such version.
    """
    return with_store(project_root(), lambda store: promote_version(store, version, choice), seconds=60)


def promote_version(store: Store, number: str, path: Path) -> str:
    """Makes a version the champion and writes the choice down.

    Raises:
        UserError: if there is no such version.
    """
    known = {str(version.version): version for version in registered_versions(store)}
    version = known.get(number)
    if version is None:
        raise UserError(f"version {number} is not one of {', '.join(known) or 'none yet'} of {REGISTERED}")
    name = version.tags["name"]
    write_text(
        path,
        "# The champion that `taqyryp promote` was told; a rebuilt MLflow store honours it. Commit this file.\n"
        f"result: {version.tags[RESULT]}\nname: {name}\n",
    )
    store.client.set_model_version_tag(REGISTERED, number, BY_HAND, "true")
    return _crown(store, version, "chosen by hand")


def fetch_model(uri: str) -> Path:
    """The model folder behind an MLflow URI such as models:/taqyryp@champion.

    Raises:
        StoreError: if MLflow has no such model or can't be reached.
        UserError: if it holds another kind of model.
    """
    where = tracking_uri(project_root())
    mlflow.set_tracking_uri(where)
    mlflow.set_registry_uri(where)
    kept = None
    if not where.startswith(SQLITE):  # copied from the server, for as long as this process lives
        kept = tempfile.mkdtemp(prefix="taqyryp-")
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=kept))
    except (MlflowException, OSError) as error:
        raise StoreError(f"{uri}: {' '.join(str(error).split())[:300]} (MLflow at {where})") from error
    found = sorted(folder.glob(f"artifacts/*/{MANIFEST}"))
    if not found:
        raise UserError(f"{uri}: not a model of this project (no artifacts/<model>/{MANIFEST} in it)")
    return found[0].parent
