"""Against a real store in a SQLite file."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import ConfigError, StorageError
from orchestrator.tracking.events import Event, EventValue, make_event
from orchestrator.tracking.mlflow_run import MlflowRun
from orchestrator.tracking.summary import summarise

pytestmark = [
    # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

PARAMS = {"name": "demo", "train": {"seed": 0, "learning_rate": 1e-3, "max": None}, "w": [1, 3]}


def step_done(step: int, **fields: EventValue) -> Event:
    usual: dict[str, EventValue] = {"loss": 5.0 - step / 1000, "tokens": 300, "grad_norm": None}
    return make_event(
        "step",
        wall_s=1000.0 + step,
        step=step,
        epoch=0,
        samples=16,
        round_s=1.5,
        world_size=3,
        **{**usual, **fields},
    )


def a_log(num_steps: int) -> list[Event]:
    return [
        make_event("started", wall_s=999.0),
        *(step_done(step) for step in range(num_steps)),
    ]


def reopened(run: MlflowRun, config: TrackingConfig) -> MlflowRun:
    return MlflowRun.open(config, run_name="demo", run_id=run.run_id, params=PARAMS)


def history(run: MlflowRun, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in run._client.get_metric_history(run.run_id, metric)]


def seen(run: MlflowRun) -> Any:
    return run._client.get_run(run.run_id)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """One store for all tests here: making one takes seconds."""
    folder = tmp_path_factory.mktemp("tracking")
    return TrackingConfig(uri=f"sqlite:///{folder / 'new' / 'mlflow.db'}", experiment="groups")


@pytest.fixture
def run(config: TrackingConfig) -> MlflowRun:
    return MlflowRun.open(config, run_name="demo", run_id=None, params=PARAMS)


def test_a_run_is_recorded_with_its_settings_and_figures(
    run: MlflowRun, config: TrackingConfig
) -> None:
    run.log_events(a_log(3))
    evaluated = make_event("eval", wall_s=2000.0, step=2, loss=1.0, accuracy=0.75, samples=8)
    run.log_events([evaluated], first=4)
    run.finish("FINISHED")
    found = seen(run)
    assert found.info.run_name == "demo"
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "name": "demo",
        "train.seed": "0",
        "train.learning_rate": "0.001",
        "train.max": "null",
        "w": "[1, 3]",
    }
    assert found.data.metrics["tokens_per_s"] == pytest.approx(200.0)
    assert found.data.metrics["world_size"] == 3
    assert found.data.metrics["eval_accuracy"] == 0.75
    assert "grad_norm" not in found.data.metrics
    assert history(run, "loss") == [(0, 5.0), (1, 4.999), (2, 4.998)]
    assert run._client.get_experiment(found.info.experiment_id).name == config.experiment


def test_a_later_attempt_continues_the_run_and_doubles_nothing(
    run: MlflowRun, config: TrackingConfig
) -> None:
    run.log_events(a_log(3))
    run.finish("FAILED")
    again = reopened(run, config)
    assert again.run_id == run.run_id
    assert again.events_logged == 4
    assert seen(again).info.status == "RUNNING"
    again.log_events(a_log(5))
    assert again.events_logged == 6
    assert [step for step, _ in history(again, "loss")] == [0, 1, 2, 3, 4]


def test_an_attempt_that_died_between_figures_and_count_does_no_harm(
    run: MlflowRun, config: TrackingConfig
) -> None:
    events = a_log(4)
    run.log_events(events)
    run._client.set_tag(run.run_id, "orchestrator.events_logged", "2")
    again = reopened(run, config)
    again.log_events(events)
    assert [step for step, _ in history(again, "loss")] == [0, 1, 2, 3]


def test_a_long_log_is_copied_in_calls_that_mlflow_takes(run: MlflowRun) -> None:
    run.log_events(a_log(400))
    assert run.events_logged == 401
    assert len(history(run, "loss")) == 400


def test_the_whole_log_and_its_tail_are_both_understood(run: MlflowRun) -> None:
    events = a_log(6)
    run.log_events(events[:3])
    run.log_events(events[2:5], first=2)
    run.log_events(events)
    run.log_events(events)
    assert run.events_logged == 7
    assert [step for step, _ in history(run, "loss")] == [0, 1, 2, 3, 4, 5]


def test_a_hole_in_the_log_is_a_bug(run: MlflowRun) -> None:
    with pytest.raises(AssertionError):
        run.log_events([step_done(9)], first=9)


def test_a_loss_that_is_no_number_can_be_recorded(run: MlflowRun) -> None:
    run.log_events([step_done(0, loss="nan", grad_norm=float("inf"))])
    assert [step for step, _ in history(run, "loss")] == [0]


def test_settings_that_changed_are_tags_of_the_later_attempt(
    run: MlflowRun, config: TrackingConfig
) -> None:
    def resume(seed: int) -> Any:
        params = {**PARAMS, "train": {"seed": seed}, "new": True}
        return seen(MlflowRun.open(config, run_name="demo", run_id=run.run_id, params=params))

    changed = resume(1)
    assert changed.data.params["train.seed"] == "0"
    assert changed.data.params["new"] == "true"
    assert changed.data.tags["resumed.train.seed"] == "1"
    assert resume(0).data.tags["resumed.train.seed"] == "0"


def test_more_settings_than_mlflow_takes_at_once_and_longer_ones_are_recorded(
    config: TrackingConfig,
) -> None:
    params = {f"p{n}": "x" * (7000 if n == 0 else 1) for n in range(230)}
    run = MlflowRun.open(config, run_name="wide", run_id=None, params=params)
    assert len(seen(run).data.params) == 230
    assert "resumed.p0" not in seen(reopened(run, config)).data.tags


def test_a_run_that_the_store_does_not_have_is_begun_there(config: TrackingConfig) -> None:
    run = MlflowRun.open(config, run_name="demo", run_id="0" * 32, params=PARAMS)
    assert run.run_id != "0" * 32
    assert run.events_logged == 0


def test_a_run_that_somebody_deleted_is_begun_anew(
    run: MlflowRun, config: TrackingConfig
) -> None:
    run.log_events(a_log(1))
    run._client.delete_run(run.run_id)
    again = reopened(run, config)
    assert again.run_id != run.run_id
    assert again.events_logged == 0


def test_artifacts_lie_beside_the_store_and_not_in_the_working_directory(
    run: MlflowRun, config: TrackingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "adapter"
    (folder / "deep").mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "deep" / "weights").write_text("w")
    run.log_artifacts(folder, "adapter")
    run.log_artifacts(folder / "adapter_config.json")
    kept = Path(config.uri.removeprefix("sqlite:///")).parent / "mlartifacts" / run.run_id
    assert {str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()} == {
        "artifacts/adapter/adapter_config.json",
        "artifacts/adapter/deep/weights",
        "artifacts/adapter_config.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_the_figures_of_a_run_are_recorded_with_it(run: MlflowRun) -> None:
    run.log_figures(summarise(a_log(3)))
    found = seen(run).data
    assert found.metrics["run.samples_used"] == 48
    assert found.metrics["run.goodput"] == pytest.approx(1.0, rel=0.5)
    assert found.tags["run.world_sizes"] == "[3]"


def test_making_a_store_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = TrackingConfig(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", experiment="quiet")
    MlflowRun.open(config, run_name="demo", run_id=None, params={})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("uri", ["runs", "file:///tmp/runs", "./mlruns"])
def test_a_folder_is_no_store(uri: str) -> None:
    config = TrackingConfig(uri=uri, experiment="e")
    with pytest.raises(ConfigError, match=r"sqlite:///mlflow\.db"):
        MlflowRun.open(config, run_name="demo", run_id=None, params={})


def test_an_experiment_that_somebody_deleted_is_named(config: TrackingConfig) -> None:
    other = TrackingConfig(uri=config.uri, experiment="gone")
    run = MlflowRun.open(other, run_name="demo", run_id=None, params={})
    run._client.delete_experiment(seen(run).info.experiment_id)
    with pytest.raises(ConfigError, match="gone"):
        MlflowRun.open(other, run_name="demo", run_id=None, params={})


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = TrackingConfig(uri=f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", experiment="e")
    with pytest.raises(StorageError, match=r"tracking\.uri"):
        MlflowRun.open(config, run_name="demo", run_id=None, params={})
