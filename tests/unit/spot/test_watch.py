"""What all clouds have in common: trouble is outlived, and said once."""

from typing import Any

import pytest

from orchestrator.spot.watch import pause_s
from tests.metadata.clouds import azure_event
from tests.metadata.server import Reply

ANNOUNCED: dict[str, dict[str, Any]] = {
    "FakeAws": {"interruption": {"action": "terminate", "time": "2016-09-19T18:30:47Z"}},
    "FakeGcp": {"preempted": b"TRUE"},
    "FakeAzure": {"events": [azure_event()]},
}


def announce(cloud: Any) -> None:
    for name, value in ANNOUNCED[type(cloud).__name__].items():
        setattr(cloud, name, value)


@pytest.mark.parametrize(
    ("every_s", "pauses_s"), [(5.0, [5, 10, 10, 10, 10, 10]), (1.0, [1, 2, 4, 8, 10, 10])]
)
def test_pauses_double_with_each_failed_look_up_to_a_bound(
    every_s: float, pauses_s: list[float]
) -> None:
    assert [pause_s(every_s, faults) for faults in range(6)] == pauses_s
    assert pause_s(every_s, 10_000) == 10


def test_a_storm_of_faults_is_said_once_and_its_end_too(any_cloud: Any) -> None:
    any_cloud.service.faults["/"] = Reply(status=503)
    pauses_s = [any_cloud.look().pause_s for _ in range(8)]
    assert pauses_s == sorted(pauses_s)
    assert pauses_s[-1] == 10
    assert len(any_cloud.said) == 1
    assert "status 503" in any_cloud.said[0]
    any_cloud.service.faults.clear()
    announce(any_cloud.cloud)
    look = any_cloud.look()
    assert (len(look.news), look.pause_s) == (1, any_cloud.every_s)
    assert "answers again, after 8 failed looks" in any_cloud.said[1]


def test_a_refused_connection_is_outlived(any_cloud: Any) -> None:
    any_cloud.look()
    any_cloud.service.stop()
    assert [any_cloud.look().news for _ in range(3)] == [(), (), ()]
    assert len(any_cloud.said) == 1
    assert "refuses the connection" in any_cloud.said[0]
    any_cloud.service.start()
    announce(any_cloud.cloud)
    assert [notice.kind for notice in any_cloud.news()] == ["interruption"]


def test_every_change_of_trouble_is_said(any_cloud: Any) -> None:
    for status in (500, 503, 503, 500):
        any_cloud.service.faults["/"] = Reply(status=status)
        any_cloud.look()
    statuses = [
        status for line in any_cloud.said for status in ("500", "503") if status in line
    ]
    assert statuses == ["500", "503", "500"]


def test_two_machines_at_once_are_told_each_their_own(make_watched: Any) -> None:
    one, other = make_watched("aws"), make_watched("aws")
    for machine, time in ((one, "2016-09-19T18:30:47Z"), (other, "2016-09-19T18:30:57Z")):
        machine.cloud.interruption = {"action": "terminate", "time": time}
    (first,), (second,) = one.news(), other.news()
    assert first.deadline_s is not None
    assert second.deadline_s == first.deadline_s + 10
