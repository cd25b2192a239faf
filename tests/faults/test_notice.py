"""A notice, a drain, a SIGTERM: the worker leaves at the end of its step, and nobody waits."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.cluster.internals import connect_gcs, drain_node, leave_note
from orchestrator.cluster.local import LocalCluster
from orchestrator.cluster.training import TrainResult
from tests.faults.conftest import assert_every_sample_once, events_of, long_job, scale
from tests.faults.disasters import SLOT, Disturbance, ask_worker_to_end

Run = Callable[..., TrainResult]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "lead_s",
    [5, pytest.param(30, marks=pytest.mark.long), pytest.param(120, marks=pytest.mark.long)],
)
def test_a_worker_on_a_node_that_is_drained_leaves_at_the_end_of_its_step(
    lead_s: float,
    make_job: Callable[..., Any],
    run_on: Run,
    cluster: LocalCluster,
    undisturbed_sha256: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def drain(joined: dict[str, Any]) -> None:
        client = connect_gcs(cluster.address)
        drain_node(client, joined["node"], time.time() + lead_s, "spot interruption")

    notice = Disturbance(step=2, world_size=3, act=drain)
    result = run_on(long_job(make_job, f"drained{lead_s}", scale(3)), notice)
    with capsys.disabled():
        print(f"\nnotice of {lead_s} s: longest_gap_s {result.figures.longest_gap_s:.2f}")
    assert result.weights_sha256 == undisturbed_sha256
    assert_every_sample_once(result)
    [left] = events_of(result, "left")
    assert result.figures.losses == 0
    assert [event["cell"] for event in events_of(result, "drain")] == [left["cell"]]
    # Not replaced on the node that goes, and there is no other.
    assert result.figures.world_sizes[-1] == 2


def test_the_last_worker_saves_before_it_goes_and_its_successor_replays_nothing(
    make_job: Callable[..., Any], run_on: Run, cluster: LocalCluster, undisturbed_sha256: str
) -> None:
    def take_all(joined: dict[str, Any]) -> None:
        client = connect_gcs(cluster.address)
        for node in cluster.cluster.worker_nodes:
            drain_node(client, node.node_id, time.time() + 30, "spot interruption")
        assert joined
        cluster.add_node(2, SLOT)

    notice = Disturbance(step=6, world_size=1, act=take_all)
    job = long_job(make_job, "last", scale(1))
    job = job.model_copy(
        update={"train": job.train.model_copy(update={"checkpoint_every_steps": 1000})}
    )
    result = run_on(job, notice)
    assert result.weights_sha256 == undisturbed_sha256
    assert_every_sample_once(result)
    [resumed] = events_of(result, "resumed")
    assert resumed["step"] >= 6
    assert resumed["step"] in [event["step"] for event in events_of(result, "checkpoint")]


def test_a_worker_that_gets_a_sigterm_leaves_and_another_comes(
    make_job: Callable[..., Any], run_on: Run, undisturbed_sha256: str
) -> None:
    sigterm = Disturbance(step=2, world_size=3, act=ask_worker_to_end)
    result = run_on(long_job(make_job, "sigterm", scale(3)), sigterm)
    assert result.weights_sha256 == undisturbed_sha256
    assert_every_sample_once(result)
    [drain] = events_of(result, "drain")
    assert drain["reason"] == "SIGTERM"
    assert len(events_of(result, "left")) == 1
    assert result.figures.losses == 0


def test_advice_that_a_node_may_go_brings_a_checkpoint_and_no_drain(
    make_job: Callable[..., Any], run_on: Run, cluster: LocalCluster, undisturbed_sha256: str
) -> None:
    def advise(joined: dict[str, Any]) -> None:
        client = connect_gcs(cluster.address)
        leave_note(client, "rebalance", joined["node"], {"id": "r1", "wall_s": time.time()})

    advice = Disturbance(step=3, world_size=1, act=advise)
    job = long_job(make_job, "advised", scale(1))
    job = job.model_copy(
        update={"train": job.train.model_copy(update={"checkpoint_every_steps": 1000})}
    )
    result = run_on(job, advice)
    assert result.weights_sha256 == undisturbed_sha256
    assert len(events_of(result, "checkpoint")) == 1
    assert len(events_of(result, "notice")) == 1
    assert not events_of(result, "left", "lost", "drain")
