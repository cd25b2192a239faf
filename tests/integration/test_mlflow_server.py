"""Against a real MLflow server, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.config.tracking import TrackingConfig
from orchestrator.errors import StorageError
from orchestrator.tracking.events import Event, make_event
from orchestrator.tracking.mlflow_run import MlflowRun


def a_log(num_evals: int) -> list[Event]:
    return [
        make_event("eval", wall_s=1000.0 + n, step=n, loss=5.0 - n, accuracy=0.5, samples=8)
        for n in range(num_evals)
    ]


def opened(config: TrackingConfig, run_id: str | None) -> MlflowRun:
    return MlflowRun.open(config, run_name="demo", run_id=run_id, params={"train": {"seed": 0}})


def steps_of(run: MlflowRun) -> list[int]:
    return [m.step for m in run._client.get_metric_history(run.run_id, "eval_loss")]


@contextmanager
def a_server(folder: Path, port: int) -> Iterator[str]:
    """A server with a new store, on loopback."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "served")]
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(f"{url}/health", process, folder / "server.log")
            yield url
        finally:
            # Its workers are in its session.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait(timeout=20)


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + 90
    while time.monotonic() < deadline_s:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"no server after 90 s: {log.read_text()}")


@pytest.mark.timeout(300)
def test_a_server_keeps_a_run_and_its_artifacts_and_may_go_away(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    artifact = tmp_path / "plot.png"
    artifact.write_bytes(b"png")
    with a_server(tmp_path, port) as url:
        config = TrackingConfig(uri=url, experiment="served")
        run = opened(config, None)
        run.log_events(a_log(3))
        run.log_artifacts(artifact, "plots")
        assert opened(config, run.run_id).events_logged == 3
        assert steps_of(run) == [0, 1, 2]
    assert [path.name for path in (tmp_path / "served").rglob("*.png")] == ["plot.png"]
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        run.log_events(a_log(5))
    assert run.events_logged == 3
