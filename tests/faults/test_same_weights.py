"""Kill anything, resize anyhow: the same weights.

The tests of this file share a cluster of three nodes and leave it with two.
"""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster
from orchestrator.cluster.training import TrainResult
from tests.faults.disasters import SLOT, Disturbance, kill_worker

Run = Callable[..., TrainResult]
EPOCHS = 10
NUM_SAMPLES = 40 * EPOCHS
"""Samples of the small data, over its epochs."""

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]


def scale(most: int, least: int = 1) -> dict[str, Any]:
    return {"workers": [least, most], "resources": SLOT, "gpu": False}


@pytest.fixture(scope="module")
def undisturbed_sha256(make_job: Callable[..., Any], run_on: Run) -> str:
    """What one worker alone learns: what all others are held against."""
    result = run_on(long_job(make_job, "alone", scale(1)))
    assert result.figures.world_sizes == (1,)
    assert_every_sample_once(result)
    return result.weights_sha256


def long_job(make_job: Callable[..., Any], name: str, scaled: dict[str, Any]) -> Any:
    """Long enough for every cell to have come before it ends, on a slow machine too."""
    return make_job(name, train={"epochs": EPOCHS}, scale=scaled)


def assert_every_sample_once(result: TrainResult) -> None:
    assert result.figures.samples_used == NUM_SAMPLES
    assert result.figures.steps_replayed == 0
    assert result.exact


def test_three_workers_learn_what_one_does(
    make_job: Callable[..., Any], run_on: Run, undisturbed_sha256: str
) -> None:
    # Three from the first step on, where the test above grew as workers came.
    result = run_on(long_job(make_job, "three", scale(3, least=3)))
    assert result.figures.world_sizes == (3,)
    assert_every_sample_once(result)
    assert result.weights_sha256 == undisturbed_sha256


def test_a_worker_killed_in_mid_step_changes_nothing_and_holds_nobody_up(
    make_job: Callable[..., Any],
    run_on: Run,
    undisturbed_sha256: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kill = Disturbance(step=2, world_size=3, act=kill_worker)
    result = run_on(long_job(make_job, "killed", scale(3)), kill)
    with capsys.disabled():
        print(f"\nworker killed: longest_gap_s {result.figures.longest_gap_s:.2f}")
    assert result.figures.losses == 1
    assert_every_sample_once(result)
    assert result.weights_sha256 == undisturbed_sha256


def test_a_node_lost_for_good_changes_nothing_and_the_run_ends(
    make_job: Callable[..., Any],
    run_on: Run,
    cluster: LocalCluster,
    undisturbed_sha256: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def kill_node(joined: dict[str, Any]) -> None:
        cluster.kill_node(joined["node"])

    loss = Disturbance(step=2, world_size=3, act=kill_node)
    result = run_on(long_job(make_job, "lost", scale(3)), loss)
    with capsys.disabled():
        print(f"\nnode lost: longest_gap_s {result.figures.longest_gap_s:.2f}")
    assert result.figures.losses == 1
    assert result.figures.world_sizes[-1] == 2
    assert_every_sample_once(result)
    assert result.weights_sha256 == undisturbed_sha256
