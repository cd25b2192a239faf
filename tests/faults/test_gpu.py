"""On a GPU too: a worker killed and another in its place, and the weights are the same.

The nodes share the one GPU of this machine; each worker computes on it by itself.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.cluster.local import start_cluster
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import TrainResult
from orchestrator.train.manifest import MANIFEST
from tests.faults.conftest import train_disturbed
from tests.faults.disasters import SLOT, Disturbance, kill_worker

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.cluster,
    pytest.mark.timeout(400),
]

EPOCHS = 15
"""Long enough for the third worker to come: a step takes 0.3 s on an H200."""


@pytest.fixture(scope="module")
def gpu_cluster() -> Iterator[None]:
    with (
        start_cluster(3, cpus=2, gpus=1, resources=SLOT) as local,
        open_session(local.address, cpus=1),
    ):
        yield


@pytest.mark.usefixtures("gpu_cluster")
def test_a_worker_killed_on_a_gpu_changes_nothing(
    make_job: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, workers: list[int], *disturbances: Disturbance) -> TrainResult:
        scaled = {"workers": workers, "resources": SLOT, "gpu": True}
        job = make_job(name, train={"epochs": EPOCHS}, scale=scaled)
        return train_disturbed(job, *disturbances)

    alone = run("gpu-alone", [1, 1])
    kill = Disturbance(step=2, world_size=3, act=kill_worker)
    killed = run("gpu-killed", [2, 3], kill)
    with capsys.disabled():
        print(f"\nworker killed on a GPU: longest_gap_s {killed.figures.longest_gap_s:.2f}")
    assert killed.figures.losses == 1
    assert killed.figures.steps_replayed == 0
    assert killed.weights_sha256 == alone.weights_sha256
    manifest = (Path(killed.run_dir) / MANIFEST).read_text()
    assert torch.cuda.get_device_name() in manifest
