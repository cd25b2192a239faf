"""A node goes and takes rendered blocks with it: nobody who asks notices."""

import time
from pathlib import Path

import pytest
import ray

from orchestrator.cluster.fetching import HandOutClient
from orchestrator.cluster.handout import HandOut
from orchestrator.cluster.internals import start_on_head
from orchestrator.cluster.local import LocalCluster
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Plan
from tests.faults.disasters import SLOT
from tests.made_course import colours, make_course

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def sweep(client: HandOutClient, steps: range) -> dict[tuple[int, ...], list[int]]:
    """The colours of every micro-batch, by its samples."""
    found = {}
    for step in steps:
        plan = client.step_plan("train", step)
        for micro in range(len(plan.micros)):
            table = client.fetch_table("train", plan.address(micro))
            batch = MicroBatch.from_table(table)
            found[batch.samples] = colours(batch)
    return found


def expected(plan: Plan, steps: range) -> dict[tuple[int, ...], list[int]]:
    """What ``sweep`` has to find."""
    return {
        micro.samples: sorted(set(micro.samples))
        for step in steps
        for micro in plan.step(step).micros
    }


def test_blocks_lost_with_their_nodes_come_again_and_are_the_same(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    course, medium = make_course(tmp_path, 60, side=280)
    actor = start_on_head(HandOut, {"train": course}, frozenset(), max_concurrency=8)
    client, plan = HandOutClient(actor), course.open()[1]
    client.step_plan("train", 0)
    while medium.num_loaded() < 30:
        time.sleep(0.05)
    # All of them: nothing of what was rendered is left, and whoever asks renders for himself
    # until there is a node again.
    for node in list(cluster.cluster.worker_nodes):
        cluster.kill_node(node.node_id)
    early, late = range(7), range(7, plan.num_steps)
    assert sweep(client, early) == expected(plan, early)
    cluster.add_node(2, SLOT)
    assert sweep(client, late) == expected(plan, late)
    ray.kill(actor)
