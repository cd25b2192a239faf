"""A node's watchman: what it tells Ray, how often, and when it ends."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from orchestrator.cluster.internals import NodeInfo, cluster_address, connect_gcs
from orchestrator.cluster.watching import (
    Messenger,
    keep_watch,
    own_node,
    wait_for_node,
    watch_node,
)
from orchestrator.errors import FaultError, InputError
from orchestrator.spot.aws import AwsSource
from orchestrator.spot.metadata import Metadata
from orchestrator.spot.notice import Notice
from tests.metadata.clock import START_S, FakeTime
from tests.metadata.clouds import FakeAws
from tests.metadata.server import Service

SOON = Notice(kind="interruption", id="soon", action="terminate", deadline_s=START_S + 5)
ADVICE = Notice(kind="rebalance", id="advice", action="rebalance")


@dataclass
class FakeNode:
    """Takes what it is told, once its GCS is up; ends after some looks."""

    time: FakeTime
    up_from_s: float = 0.0
    lives_s: float = 1000.0
    drained: list[float | None] = field(default_factory=list)
    notes: list[tuple[str, dict[str, str | float]]] = field(default_factory=list)
    asked: int = 0

    def drain(self, deadline_s: float | None, why: str, /) -> None:
        assert why
        self._ask()
        self.drained.append(deadline_s)

    def leave_note(self, kind: str, note: dict[str, str | float], /) -> None:
        self._ask()
        self.notes.append((kind, note))

    def gone(self) -> str | None:
        return "it is over" if self.time.now_s >= START_S + self.lives_s else None

    def _ask(self) -> None:
        self.asked += 1
        if self.time.now_s < START_S + self.up_from_s:
            raise FaultError("no answer", "GCS", "Wait")


@dataclass
class Rig:
    node: FakeNode
    time: FakeTime
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messenger = Messenger(self.node, self.time.clock, self.said.append)


@pytest.fixture
def rig() -> Rig:
    time = FakeTime()
    return Rig(FakeNode(time), time)


@pytest.fixture
def aws() -> Iterator[Service]:
    with Service(FakeAws(), now_s=lambda: START_S) as service:
        yield service


def test_an_interruption_drains_the_node_with_its_deadline(rig: Rig) -> None:
    rig.messenger.take((SOON,))
    assert rig.messenger.deliver()
    assert rig.node.drained == [START_S + 5]
    assert rig.node.notes == []
    assert "terminate at 2016-09-19T18:28:52Z, in 5 s: the node is drained" in rig.said[0]
    assert rig.messenger.deliver()
    assert rig.node.asked == 1


def test_an_interruption_that_has_begun_drains_without_a_deadline(rig: Rig) -> None:
    rig.messenger.take((Notice(kind="interruption", id="x", action="Preempt"),))
    rig.messenger.deliver()
    assert rig.node.drained == [None]
    assert "Preempt has begun" in rig.said[0]


def test_a_recommendation_leaves_a_note_and_drains_nothing(rig: Rig) -> None:
    rig.messenger.take((ADVICE,))
    assert rig.messenger.deliver()
    note = {"id": "advice", "wall_s": START_S, "action": "rebalance"}
    assert rig.node.notes == [("rebalance", note)]
    assert rig.node.drained == []


def test_a_head_is_drained_with_a_warning(rig: Rig) -> None:
    rig.messenger.warning = "It is the head"
    rig.messenger.take((SOON,))
    rig.messenger.deliver()
    assert rig.node.drained == [START_S + 5]
    assert rig.said[0].endswith("the node is drained. It is the head")


def test_a_clock_that_is_off_is_said(rig: Rig) -> None:
    off = Notice(
        kind="interruption", id="x", action="stop", deadline_s=START_S, clock_ahead_s=-70.0
    )
    rig.messenger.take((off,))
    rig.messenger.deliver()
    assert "this clock is -70 s off the cloud's" in rig.said[0]


def test_while_the_gcs_is_down_the_drain_waits_and_goes_first(rig: Rig) -> None:
    rig.node.up_from_s = 3
    rig.messenger.take((ADVICE, SOON))
    for _ in range(3):
        assert not rig.messenger.deliver()
        rig.time.sleep(1)
    assert (rig.node.drained, len(rig.said)) == ([], 1)
    assert rig.messenger.deliver()
    assert rig.node.drained == [START_S + 5]
    assert [kind for kind, _ in rig.node.notes] == ["rebalance"]


def test_when_the_deadline_has_passed_with_the_gcs_down_it_is_given_up(rig: Rig) -> None:
    rig.node.up_from_s = 100
    rig.messenger.take((SOON,))
    while not rig.messenger.deliver():
        rig.time.sleep(1)
    assert rig.time.now_s == START_S + 6
    assert "its time has come, and Ray could not be told" in rig.said[-1]


def test_what_is_cancelled_before_ray_heard_of_it_is_not_told(rig: Rig) -> None:
    rig.node.up_from_s = 2
    rig.messenger.take((SOON,))
    rig.messenger.deliver()
    rig.messenger.take((SOON.cancelled(),))
    rig.time.sleep(2)
    assert rig.messenger.deliver()
    assert (rig.node.drained, rig.node.notes) == ([], [])
    assert "cancelled, before Ray was told" in rig.said[-1]


def test_what_is_cancelled_after_the_drain_is_recorded_and_said(rig: Rig) -> None:
    rig.messenger.take((SOON,))
    rig.messenger.deliver()
    rig.messenger.take((SOON.cancelled(),))
    assert rig.messenger.deliver()
    assert [(kind, note["id"]) for kind, note in rig.node.notes] == [("cancelled", "soon")]
    assert rig.node.drained == [START_S + 5]
    assert "Ray takes no drain back" in rig.said[-1]


def test_the_watch_goes_on_after_a_drain_and_ends_with_its_node(rig: Rig, aws: Service) -> None:
    aws.cloud.interruption = {"action": "terminate", "time": "2016-09-19T18:30:47Z"}
    rig.node.lives_s = 12
    source = AwsSource(Metadata(aws.url, rig.time.clock))
    assert keep_watch(source, 5.0, rig.messenger) == "it is over"
    assert rig.node.drained == [START_S + 120]
    assert rig.time.slept_s == [5.0, 5.0, 5.0]


def test_a_drain_is_tried_again_sooner_than_the_next_look_is_due(
    rig: Rig, aws: Service
) -> None:
    aws.cloud.interruption = {"action": "terminate", "time": "2016-09-19T18:30:47Z"}
    rig.node.up_from_s, rig.node.lives_s = 2, 3
    keep_watch(AwsSource(Metadata(aws.url, rig.time.clock)), 5.0, rig.messenger)
    assert rig.node.drained == [START_S + 120]
    assert rig.time.slept_s == [1.0, 1.0, 5.0]


def info(node_id: str, host: str) -> NodeInfo:
    return NodeInfo(node_id=node_id, host=host, port=1, is_head=False)


HERE = info("aa", "127.0.0.1")
# A documentation address: no machine has it.
ELSEWHERE = info("bb", "198.51.100.7")


def test_a_machines_own_node_is_the_one_at_its_own_address() -> None:
    assert own_node({"aa": HERE, "bb": ELSEWHERE}, None) is HERE
    assert own_node({"aa": HERE, "bb": ELSEWHERE}, "bb") is ELSEWHERE


def test_of_several_nodes_on_a_machine_none_is_guessed() -> None:
    with pytest.raises(InputError, match="has several: aa, cc"):
        own_node({"aa": HERE, "cc": info("cc", "127.0.0.1")}, None)


@pytest.mark.parametrize("node_id", [None, "dd"])
def test_a_node_that_is_not_there_is_said_to_be_missing(node_id: str | None) -> None:
    with pytest.raises(FaultError, match="is not in the cluster"):
        own_node({"bb": ELSEWHERE}, node_id)


def test_a_cluster_that_does_not_come_up_is_waited_for_and_given_up() -> None:
    time = FakeTime()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(FaultError, match="GCS gives no answer"):
            wait_for_node(address, None, time.clock, within_s=3)
    assert sum(time.slept_s) == 3


def test_no_cluster_at_an_address_is_a_fault_at_once() -> None:
    with pytest.raises(FaultError, match="refused"):
        connect_gcs("127.0.0.1:9")


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", "auto"])
def test_an_address_that_is_not_the_gcs_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is not host:port"):
        cluster_address(address)


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster_address(None) == "10.0.0.1:6379"
    assert cluster_address("10.0.0.2:6379") == "10.0.0.2:6379"


def test_on_no_cloud_there_is_nothing_to_watch_and_no_cluster_needed() -> None:
    said: list[str] = []
    watch_node(None, None, "none", Metadata(), said.append)
    assert said == ["no cloud, no notices: nothing to watch"]
