"""The way of a notice: a cloud's service, a real watchman, and what the head finds in Ray.

Each node that a test watches is kept busy: Ray lets an idle one go as soon as it is drained.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import ray

from orchestrator.cluster.internals import (
    alive_nodes,
    connect_gcs,
    dead_nodes,
    drain_node,
    draining_nodes,
    notes,
)
from orchestrator.cluster.local import LocalCluster, start_cluster
from orchestrator.errors import FaultError
from tests.faults.disasters import SLOT
from tests.metadata.clouds import FakeAws
from tests.metadata.server import Service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PROGRAM = "from orchestrator.cli import main; main()"
MOMENT_S = 30.0


class Watchman:
    """``orchestrator watch`` as a process, for one node, on a machine of its own."""

    def __init__(self, address: str, node_id: str, log: Path) -> None:
        self.service = Service(FakeAws()).start()
        self.log = log
        options = (
            "--address",
            address,
            "--node-id",
            node_id,
            "--metadata-url",
            self.service.url,
        )
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "watch", *options], stdout=out, stderr=out
            )
        self.wait_to_say(f"watching aws for node {node_id}")

    def announce(self, in_s: float) -> float:
        """Have EC2 announce an interruption; the deadline it names."""
        deadline_s = float(int(time.time() + in_s))
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deadline_s))
        self.service.cloud.interruption = {"action": "terminate", "time": when}
        return deadline_s

    def wait_to_say(self, words: str) -> None:
        wait_for(lambda: words in self.log.read_text(), self.log.read_text)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.service.stop()


def wait_for(
    claim: Callable[[], Any], state: Callable[[], Any], within_s: float = MOMENT_S
) -> None:
    until_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < until_s, state()
        time.sleep(0.05)


@ray.remote(num_cpus=1, resources=SLOT)
class Busy:
    def node_id(self) -> str:
        return str(ray.get_runtime_context().get_node_id())


@pytest.fixture
def client(cluster: LocalCluster) -> Any:
    return connect_gcs(cluster.address)


@pytest.fixture
def nodes(cluster: LocalCluster) -> Iterator[list[str]]:
    """Three nodes with something on each, of this test alone."""
    assert cluster.address
    actors = [Busy.remote() for _ in range(3)]
    found = ray.get([actor.node_id.remote() for actor in actors], timeout=120)
    yield found
    # The next test's nodes are new ones: no place of theirs waits for an actor of this one's.
    for node_id in found:
        with suppress(FaultError):
            cluster.kill_node(node_id)
    del actors


@pytest.fixture
def start(cluster: LocalCluster, tmp_path: Path) -> Iterator[Callable[[str], Watchman]]:
    with ExitStack() as stack:

        def begin(node_id: str) -> Watchman:
            watchman = Watchman(cluster.address, node_id, tmp_path / f"{node_id}.log")
            stack.callback(watchman.stop)
            return watchman

        yield begin


def test_two_nodes_told_at_once_are_found_draining_with_their_own_deadlines(
    nodes: list[str], client: Any, start: Callable[[str], Watchman]
) -> None:
    assert draining_nodes(client) == {}
    watchmen = [start(node_id) for node_id in nodes[:2]]
    deadlines_s = [watchmen[0].announce(120), watchmen[1].announce(60)]
    expected = dict(zip(nodes[:2], deadlines_s, strict=True))
    wait_for(lambda: draining_nodes(client) == expected, lambda: draining_nodes(client))
    assert set(nodes) < set(alive_nodes(client))
    watchmen[0].service.cloud.interruption = None
    watchmen[0].wait_to_say("Ray takes no drain back")
    assert nodes[0] in notes(client, "cancelled")
    assert nodes[1] not in notes(client, "cancelled")
    assert draining_nodes(client) == expected


def test_a_recommendation_leaves_a_note_and_a_drain_outlives_a_frozen_gcs(
    nodes: list[str], client: Any, cluster: LocalCluster, start: Callable[[str], Watchman]
) -> None:
    watchman = start(nodes[2])
    watchman.service.cloud.rebalance = {"noticeTime": "2026-01-01T00:00:00Z"}
    wait_for(lambda: nodes[2] in notes(client), watchman.log.read_text)
    note = notes(client)[nodes[2]]
    assert note["id"] == "rebalance 2026-01-01T00:00:00Z"
    assert abs(float(note["wall_s"]) - time.time()) < MOMENT_S
    assert nodes[2] not in draining_nodes(client)

    gcs = cluster.cluster.head_node.all_processes["gcs_server"][0].process
    gcs.send_signal(signal.SIGSTOP)
    try:
        deadline_s = watchman.announce(90)
        watchman.wait_to_say("interruption cannot be told to Ray")
        asked_s = time.monotonic()
        with pytest.raises(FaultError, match="GCS gives no answer"):
            draining_nodes(client)
        assert time.monotonic() - asked_s < 4
    finally:
        gcs.send_signal(signal.SIGCONT)
    wait_for(
        lambda: draining_nodes(client).get(nodes[2]) == deadline_s,
        watchman.log.read_text,
    )


def test_the_watchman_ends_with_its_node(
    nodes: list[str], client: Any, cluster: LocalCluster, start: Callable[[str], Watchman]
) -> None:
    watchman = start(nodes[2])
    cluster.kill_node(nodes[2])
    assert watchman.process.wait(MOMENT_S) == 0
    assert "nothing is left to watch" in watchman.log.read_text()
    wait_for(lambda: nodes[2] in dead_nodes(client), lambda: dead_nodes(client))
    assert nodes[2] not in alive_nodes(client)


def test_an_idle_node_leaves_as_soon_as_it_is_drained(
    client: Any, cluster: LocalCluster
) -> None:
    before = set(alive_nodes(client))
    cluster.add_node(1, {})
    (idle,) = set(alive_nodes(client)) - before
    drain_node(client, idle, time.time() + 120, "a test")
    wait_for(lambda: idle in dead_nodes(client), lambda: draining_nodes(client))


def test_a_watchman_without_the_clusters_token_says_so(cluster: LocalCluster) -> None:
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "watch",
            "--cloud",
            "aws",
            "--address",
            cluster.address,
        ],
        env={**os.environ, "RAY_AUTH_TOKEN": "f" * 64},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 2
    assert "refuses this process's token" in answer.stderr


def test_a_head_is_drained_too_and_its_watchman_warns(tmp_path: Path) -> None:
    # A cluster of its own: nothing runs on this head, so that it leaves, and all with it.
    with start_cluster(0) as local:
        client = connect_gcs(local.address)
        (head,) = (info.node_id for info in alive_nodes(client).values() if info.is_head)
        watchman = Watchman(local.address, head, tmp_path / "head.log")
        try:
            watchman.announce(120)
            watchman.wait_to_say("the node is drained. It is the head: the driver of every run")
        finally:
            watchman.stop()
