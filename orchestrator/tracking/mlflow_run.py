"""One MLflow run for one training, continued by every attempt. The only file that knows MLflow.

The event log is the truth, and MLflow a copy of it that can fall behind and catch up. How many
events were copied is a tag of the run, set after their figures; MLflow keeps a figure with the
same time, step and value once, so that an attempt that dies between the two does no harm.
"""

import importlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import ConfigError, StorageError
from orchestrator.tracking.events import Event, number, whole_number
from orchestrator.tracking.summary import RunFigures

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Status: TypeAlias = Literal["FINISHED", "FAILED", "KILLED"]
Figures: TypeAlias = Sequence[tuple[str, float, int, int]]

EVENTS_LOGGED: Final = "orchestrator.events_logged"
"""Tag: events of the run's log that MLflow has."""

_SQLITE: Final = "sqlite:///"
_MAX_METRICS: Final = 900  # MLflow takes 1000 metrics and tags in a call
_MAX_PARAMS: Final = 100  # the most that MLflow takes in a call
_MAX_PARAM_CHARS: Final = 6000  # MLflow cuts longer ones in silence
_NO_METRICS: Final[Mapping[str, str]] = MappingProxyType({})
_METRICS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "step": MappingProxyType(
            {
                "loss": "loss",
                "learning_rate": "learning_rate",
                "grad_norm": "grad_norm",
                "label_tokens": "label_tokens",
                "samples": "samples",
                "num_micro": "num_micro_batches",
                "round_s": "step_s",
                "world_size": "world_size",
                "epoch": "epoch",
            }
        ),
        "eval": MappingProxyType({"loss": "eval_loss", "accuracy": "eval_accuracy"}),
        "checkpoint": MappingProxyType({"seconds": "checkpoint_s"}),
    }
)


class MlflowRun:
    """An open run. Every method may be called again after a ``StorageError``."""

    def __init__(self, client: "MlflowClient", uri: str, run: "Run") -> None:
        self._client = client
        self._uri = uri
        self.run_id: str = run.info.run_id
        """What the next attempt opens the run with."""
        self.events_logged = int(run.data.tags.get(EVENTS_LOGGED, "0"))
        """Events of the run's log that MLflow has."""

    @classmethod
    def open(
        cls,
        config: TrackingConfig,
        *,
        run_name: str,
        run_id: str | None,
        params: Mapping[str, object],
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> "MlflowRun":
        """Begin a run, or continue one.

        Creates the store where there is none, which takes some seconds. Artifacts of a SQLite
        store go to the folder ``mlartifacts`` beside its file.

        Args:
            config: Where the record is kept.
            run_name: The run's name for people.
            run_id: The run to continue; None begins one. One that the store does not have (it
                is another store, or somebody deleted the run) begins one too, with no events.
            params: Settings, nested as they are. MLflow never changes one: what differs in a
                later attempt becomes the tag ``resumed.`` and its name.
            tags: Of a run that begins.

        Raises:
            ConfigError: MLflow has no store of the kind that ``config.uri`` names.
            StorageError: The store cannot be reached or written.
        """
        _check_uri(config.uri)
        with _answers_from(config.uri):
            client = _library().MlflowClient(tracking_uri=config.uri)
            run = _run_to_continue(client, run_id)
            if run is None:
                experiment = _experiment_id(client, config)
                run = client.create_run(experiment, run_name=run_name, tags=dict(tags))
            else:
                client.update_run(run.info.run_id, status="RUNNING")
            _log_params(client, run, _flat(params))
            return cls(client, config.uri, run)

    def log_events(self, events: Sequence[Event], *, first: int = 0) -> None:
        """Copy what MLflow does not have yet.

        Args:
            events: Neighbours in the run's log, in its order.
            first: Number of the first of them in the log; 0 where ``events`` is the whole log.

        Raises:
            StorageError: The store does not answer. What was copied stays counted.
        """
        assert first <= self.events_logged, f"{self.events_logged} logged, then {first}"
        new = events[self.events_logged - first :]
        with _answers_from(self._uri):
            for batch in _batches(new):
                self._log_batch([figure for event in batch for figure in _figures(event)])
                logged = str(self.events_logged + len(batch))
                self._client.set_tag(self.run_id, EVENTS_LOGGED, logged)
                self.events_logged += len(batch)

    def log_figures(self, figures: RunFigures) -> None:
        """Record the run's figures, under names that begin with ``run.``.

        Raises:
            StorageError: The store does not answer.
        """
        entities = _library().entities
        now_ms = int(time.time() * 1000)
        metrics = [
            entities.Metric(f"run.{name}", float(value), now_ms, figures.steps)
            for name, value in asdict(figures).items()
            if isinstance(value, int | float)
        ]
        tag = entities.RunTag("run.world_sizes", json.dumps(figures.world_sizes))
        with _answers_from(self._uri):
            self._client.log_batch(self.run_id, metrics=metrics, tags=[tag])

    def log_values(self, values: Mapping[str, float]) -> None:
        """Record figures by their names.

        Raises:
            StorageError: The store does not answer.
        """
        now_ms = int(time.time() * 1000)
        with _answers_from(self._uri):
            self._log_batch([(name, value, now_ms, 0) for name, value in values.items()])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, or replace them.

        Raises:
            StorageError: The store does not answer.
        """
        with _answers_from(self._uri):
            for name, value in tags.items():
                self._client.set_tag(self.run_id, name, value[:_MAX_PARAM_CHARS])

    def register(self, model: str, folder: str) -> None:
        """Make a folder of the run's artifacts a version of a registered model, once.

        Args:
            model: Its name; made if there is none of it.
            folder: In the artifacts.

        Raises:
            StorageError: The store does not answer.
        """
        client = self._client
        with _answers_from(self._uri):
            if not client.search_registered_models(f"name = '{model}'"):
                client.create_registered_model(model)
            if not client.search_model_versions(
                f"name = '{model}' and run_id = '{self.run_id}'"
            ):
                source = f"{client.get_run(self.run_id).info.artifact_uri}/{folder}"
                client.create_model_version(model, source, self.run_id)

    def log_artifacts(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or everything in a folder, to the run's artifacts.

        Args:
            path: What to copy.
            folder: Where in the artifacts; None: at their top.

        Raises:
            StorageError: The store does not answer.
        """
        copy = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        with _answers_from(self._uri):
            copy(self.run_id, str(path), folder)

    def finish(self, status: Status) -> None:
        """End the run; a later attempt can still continue it.

        Raises:
            StorageError: The store does not answer.
        """
        with _answers_from(self._uri):
            self._client.set_terminated(self.run_id, status=status)

    def _log_batch(self, figures: Figures) -> None:
        metric = _library().entities.Metric
        metrics = [metric(*figure) for figure in figures]
        if metrics:
            self._client.log_batch(self.run_id, metrics=metrics)


def _library() -> ModuleType:
    """MLflow, loaded when it is first needed: that takes seconds."""
    # No telemetry, and no log handlers of its own: what it has to say goes to our log.
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    # A server that went away costs seconds, not minutes: the events are asked for again later.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    return importlib.import_module("mlflow")


def _check_uri(uri: str) -> None:
    scheme, colon, _ = uri.partition(":")
    if not colon or scheme == "file":
        raise ConfigError(
            f"{uri!r} is a folder, and MLflow keeps no runs in folders",
            "tracking.uri",
            "Name a file, as in sqlite:///mlflow.db, or a server, as in http://host:5000",
        )


@contextmanager
def _answers_from(uri: str) -> Iterator[None]:
    try:
        yield
    except (_library().exceptions.MlflowException, OSError) as error:
        raise StorageError(
            f"MLflow: {str(error).partition(chr(10))[0]}",
            uri,
            "Make sure that the store can be reached and written, or change tracking.uri",
        ) from error


def _run_to_continue(client: "MlflowClient", run_id: str | None) -> "Run | None":
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except _library().exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def _experiment_id(client: "MlflowClient", config: TrackingConfig) -> str:
    found = client.get_experiment_by_name(config.experiment)
    if found is None:
        location = _artifact_location(config.uri)
        return str(client.create_experiment(config.experiment, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise ConfigError(
            f"the experiment {config.experiment!r} was deleted in MLflow",
            "tracking.experiment",
            "Restore it there, or choose another name",
        )
    return str(found.experiment_id)


def _artifact_location(uri: str) -> str | None:
    """Beside a SQLite file: MLflow would take the working directory. Else the server's."""
    if not uri.startswith(_SQLITE):
        return None
    return str(Path(uri.removeprefix(_SQLITE)).absolute().parent / "mlartifacts")


def _log_params(client: "MlflowClient", run: "Run", params: Mapping[str, str]) -> None:
    entities = _library().entities
    known = run.data.params
    new = [entities.Param(key, value) for key, value in params.items() if key not in known]
    for begin in range(0, len(new), _MAX_PARAMS):
        client.log_batch(run.info.run_id, params=new[begin : begin + _MAX_PARAMS])
    for key, value in params.items():
        resumed = f"resumed.{key}"
        # Asked of the tag first, so that a setting that was changed and changed back is right.
        if run.data.tags.get(resumed, known.get(key, value)) != value:
            client.set_tag(run.info.run_id, resumed, value)


def _flat(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """``{"train": {"seed": 0}}`` as ``{"train.seed": "0"}``; lists as JSON."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[f"{prefix}{name}"] = text[:_MAX_PARAM_CHARS]
    return flat


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Whole events, as many at a time as MLflow takes."""
    batch: list[Event] = []
    num_figures = 0
    for event in events:
        num_new = len(_figures(event))
        if batch and num_figures + num_new > _MAX_METRICS:
            yield batch
            batch, num_figures = [], 0
        batch.append(event)
        num_figures += num_new
    if batch:
        yield batch


def _figures(event: Event) -> list[tuple[str, float, int, int]]:
    """What an event adds to MLflow: metric, value, milliseconds since 1970, step."""
    names = _METRICS.get(str(event["kind"]), _NO_METRICS)
    values = {
        metric: number(event, field)
        for field, metric in names.items()
        if event.get(field) is not None
    }
    if event["kind"] == "step" and event.get("tokens") and number(event, "round_s") > 0:
        values["tokens_per_s"] = number(event, "tokens") / number(event, "round_s")
    at_ms, step = int(number(event, "wall_s") * 1000), whole_number(event, "step")
    return [(metric, value, at_ms, step) for metric, value in values.items()]
