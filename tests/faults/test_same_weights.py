"""Kill anything, resize anyhow: the same weights."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster
from orchestrator.cluster.training import TrainResult
from tests.faults.conftest import assert_every_sample_once, long_job, scale
from tests.faults.disasters import Disturbance, kill_worker

Run = Callable[..., TrainResult]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


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
