"""Log a run that reached a verdict to MLflow, from its record: settings, metrics, files, and where the model is."""

import importlib.util
import itertools
import json
import logging
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.notify import secret
from components.notify.message import plain
from components.notify.settings import NotifySettings
from petalflow import storage
from petalflow.dataset import PAGE_FILE
from petalflow.environment import variables_set
from petalflow.errors import PetalflowError
from petalflow.registry import MODEL_CARD_FILE
from petalflow.run import record
from petalflow.verdict import METRICS_FILE, REPORT_FILE, VERDICT_FILE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

_PARTS = (record.BEGIN, record.SNAPSHOT, record.VERDICT, record.METRICS, record.RELEASE, record.END)
# A retry finds the MLflow run by the first tag; the second is set last, when everything is logged.
RUN_ID_TAG, COMPLETE_TAG = "petalflow.run_id", "petalflow.complete"
# MLflow's limits of a request, and of the length of a name.
_MOST_METRICS, _MOST_PARAMETERS, _LONGEST_NAME = 1000, 100, 250
# What older servers accept as a value.
_LONGEST_VALUE = 500
# MLflow allows slashes too, which make groups in its charts; here only the one after the group.
_NOT_IN_NAMES = re.compile(r"[^\w.\- ]")


@dataclass(frozen=True)
class Facts:
    """What is logged of a run.

    Attributes:
        started_at: When it began.
        ended_at: When it ended.
        failed: True if it failed after its verdict.
        parameters: Settings as section.name -> value, and the size of the dataset.
        metrics: Name -> value of the candidate on the test images.
        epochs: Name -> values in the epochs of the training, None where undefined.
        tags: Run id, outcome, release and addresses.
        files: File name -> its address.
    """

    started_at: datetime
    ended_at: datetime
    failed: bool
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    epochs: Mapping[str, Sequence[float | None]]
    tags: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)


def log_to_mlflow(record_uri: str, run_id: str, name: str, settings: NotifySettings) -> None:
    """Logs a run to MLflow if the settings ask for it and it was judged; a failure is only logged, in one line.

    Its address in MLflow is added to its record.

    Args:
        record_uri: The folder of the records.
        run_id: The run, which has ended.
        name: The name it releases under, which becomes the name of the experiment.
        settings: The tracking server.
    """
    if settings.mlflow is None:
        return
    try:
        facts = collect(record_uri, run_id)
        if facts is None:
            log.info("not logged to MLflow, since no candidate was judged")
            return
        place = log_facts(facts, run_id, name, settings)
        record.write(record_uri, run_id, record.MLFLOW, place)
        log.info("logged to MLflow: %s", place["url"] or f"run {place['mlflow_run_id']} in {settings.mlflow}")
    except Exception as error:  # no reason for the run to fail
        log.warning("cannot log the run to MLflow at %s: %s", settings.mlflow, _describe(error, settings))


def _describe(error: Exception, settings: NotifySettings) -> str:
    if isinstance(error, PetalflowError):
        return str(error)
    # All errors of requests are OSErrors; MLflow raises its own while it handles one.
    if isinstance(error.__cause__ or error.__context__, OSError):
        within = f"within {settings.timeout_s:g} s (attempt {settings.attempts} of {settings.attempts})"
        return f"it cannot be reached, or did not answer properly {within}"
    return plain(f"{type(error).__name__}: {error}")


def collect(record_uri: str, run_id: str) -> Facts | None:
    """Returns what is logged of a run; None if it reached no verdict or has not ended."""
    parts = {part: record.read(record_uri, run_id, part) or {} for part in _PARTS}
    begun, verdict, release, ended = (
        parts[part] for part in (record.BEGIN, record.VERDICT, record.RELEASE, record.END)
    )
    if not verdict or not ended:
        return None
    measured = parts[record.METRICS]
    return Facts(
        started_at=datetime.fromisoformat(begun["started_at"]),
        ended_at=datetime.fromisoformat(ended["ended_at"]),
        failed=ended["outcome"] == record.FAILED,
        parameters=_parameters(parts[record.SNAPSHOT], verdict, measured),
        metrics=dict(_metrics(verdict, measured)),
        epochs={f"train/{_clean(name)}": list(map(_number, values)) for name, values in _epochs(measured).items()},
        tags=_tags(record_uri, run_id, parts),
        files=_files(storage.join(record_uri, run_id), release.get("uri")),
    )


def log_facts(facts: Facts, run_id: str, name: str, settings: NotifySettings) -> dict[str, str]:
    """Logs a run to the experiment `name`, unless that was done before.

    A run that was logged in part, or that has ended in another way since, is replaced.

    Args:
        facts: What to log.
        run_id: The run.
        name: The name of the experiment, which is made if there is none.
        settings: The tracking server.

    Returns:
        "mlflow_run_id", and "url" of its page; "" if the tracking address is not a server.

    Raises:
        PetalflowError: If MLflow is not installed, or the password is missing.
        mlflow.exceptions.MlflowException: If the server cannot be reached or refuses something.
    """
    with _environment(settings):
        client = _client(settings)
        experiment = client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
        logged = client.search_runs([experiment_id], f"tags.`{RUN_ID_TAG}` = '{run_id}'")
        found = next((run.info.run_id for run in logged if _is_current(run, facts)), None)
        if found is None:
            for outdated in logged:
                client.delete_run(outdated.info.run_id)
            found = _log_new(client, experiment_id, run_id, facts)
    server = str(settings.mlflow).rstrip("/")
    page = f"{server}/#/experiments/{experiment_id}/runs/{found}" if server.startswith("http") else ""
    return {"mlflow_run_id": found, "url": page}


def _is_current(run: "Run", facts: Facts) -> bool:
    return COMPLETE_TAG in run.data.tags and facts.tags.items() <= run.data.tags.items()


def _log_new(client: "MlflowClient", experiment_id: str, run_id: str, facts: Facts) -> str:
    from mlflow.entities import Metric, Param

    started_ms, ended_ms = (round(time.timestamp() * 1000) for time in (facts.started_at, facts.ended_at))
    new: str = client.create_run(experiment_id, started_ms, dict(facts.tags), run_name=run_id).info.run_id
    parameters = [Param(*pair) for pair in facts.parameters.items()]
    metrics = [Metric(name, value, ended_ms, 0) for name, value in facts.metrics.items()]
    for name, values in facts.epochs.items():
        metrics += [Metric(name, value, ended_ms, epoch) for epoch, value in enumerate(values, 1) if value is not None]
    try:
        for start in range(0, len(metrics), _MOST_METRICS):
            client.log_batch(new, metrics=metrics[start : start + _MOST_METRICS])
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            client.log_batch(new, params=parameters[start : start + _MOST_PARAMETERS])
        _log_files(client, new, facts.files)
        client.set_tag(new, COMPLETE_TAG, "true")
    finally:
        client.set_terminated(new, "FAILED" if facts.failed else "FINISHED", ended_ms)
    return new


def _log_files(client: "MlflowClient", mlflow_run: str, files: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, address in files.items():
            try:
                (Path(folder) / name).write_bytes(storage.read_bytes(address))
            except FileNotFoundError:  # a record or a release of an older version
                continue
        client.log_artifacts(mlflow_run, folder)


def _client(settings: NotifySettings) -> "MlflowClient":
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise PetalflowError(
            "MLflow is not installed where the steps run: pip install '.[mlflow]' in the checkout"
        ) from None
    if str(settings.mlflow).startswith("sqlite:") and not importlib.util.find_spec("sqlalchemy"):
        raise PetalflowError("a database needs the whole of MLflow: pip install mlflow")
    # They would log every table of a new database, and every attempt to reach the server.
    for library in ("alembic", "urllib3.connectionpool"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return MlflowClient(settings.mlflow)


@contextmanager
def _environment(settings: NotifySettings) -> Iterator[None]:
    """Sets what MLflow reads from the environment, without reports on its use to its makers."""
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(settings.attempts - 1),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(settings.timeout_s)),
    }
    if settings.mlflow_password:
        password = secret.reveal("notify.mlflow_password", settings.mlflow_password)
        if settings.mlflow_user:
            variables |= {"MLFLOW_TRACKING_USERNAME": settings.mlflow_user, "MLFLOW_TRACKING_PASSWORD": password}
        else:
            variables["MLFLOW_TRACKING_TOKEN"] = password
    with variables_set(variables):
        yield


def _parameters(snapshot: Mapping[str, Any], verdict: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, str]:
    settings = dict(_flatten(measured.get("settings", {})))
    data = {
        "data.images": snapshot.get("images"),
        "data.classes": len(verdict["class_names"]) if "class_names" in verdict else None,
        "data.test_images": verdict.get("test_images"),
        "backbone": verdict["candidate"].get("backbone"),
    }
    known = {**settings, **{name: value for name, value in data.items() if value is not None}}
    return {_clean(name): _text(value)[:_LONGEST_VALUE] for name, value in known.items()}


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _metrics(verdict: Mapping[str, Any], measured: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yields the names and values of the metrics; undefined ones are left out."""
    found = {"accuracy": {"value": verdict["candidate"]["accuracy"]}}
    found |= {**measured.get("proportions", {}), **measured.get("figures", {})}
    recalls = measured.get("recalls", {})
    found |= {f"recall/{label}": metric for label, metric in zip(_distinct(recalls), recalls.values(), strict=True)}
    for name, metric in found.items():
        for key, value in ((name, "value"), (f"{name}_low", "low"), (f"{name}_high", "high")):
            number = _number(metric.get(value))
            if number is not None:
                yield key, number


def _distinct(names: Iterable[str]) -> list[str]:
    """Returns names that MLflow accepts, those that became equal with a number."""
    found: dict[str, None] = {}
    for name in map(_clean, names):
        candidates = itertools.chain([name], (f"{name} {number}" for number in itertools.count(2)))
        found[next(one for one in candidates if one not in found)] = None
    return list(found)


def _clean(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[: _LONGEST_NAME - 20]


def _epochs(measured: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    curves = measured.get("epochs", {})
    return {name: values for name, values in curves.items() if any(_number(value) is not None for value in values)}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _tags(record_uri: str, run_id: str, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    snapshot, verdict, release = (parts[part] for part in (record.SNAPSHOT, record.VERDICT, record.RELEASE))
    tags = {
        "run_id": run_id,
        "outcome": parts[record.END]["outcome"],
        "release": release.get("version"),
        "model": release.get("uri"),
        "compared_with": verdict["baseline"].get("version"),
        "report": storage.join(record_uri, run_id, REPORT_FILE),
        "source": snapshot.get("source"),
        "why": "; ".join(snapshot.get("why", ())),
        "trigger": parts[record.BEGIN]["trigger"],
        "code_version": parts[record.BEGIN]["code_version"],
    }
    return {f"petalflow.{name}": plain(str(value)) for name, value in tags.items() if value not in (None, "")}


def _files(folder: str, release_uri: str | None) -> dict[str, str]:
    names = (REPORT_FILE, PAGE_FILE, VERDICT_FILE, METRICS_FILE)
    card = {MODEL_CARD_FILE: storage.join(release_uri, MODEL_CARD_FILE)} if release_uri else {}
    return {name: storage.join(folder, name) for name in names} | card
