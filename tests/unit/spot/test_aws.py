"""Amazon EC2's notices."""

from typing import Any

import pytest

from tests.metadata.clock import START_S, FakeTime
from tests.metadata.server import Reply

IN_TWO_MINUTES = "2016-09-19T18:30:47Z"
TERMINATE = {"action": "terminate", "time": IN_TWO_MINUTES}
INTERRUPTION_PATH = "/latest/meta-data/spot"
REBALANCE_PATH = "/latest/meta-data/events"


def test_nothing_is_announced_before_the_trigger(aws: Any) -> None:
    assert [aws.look().news for _ in range(3)] == [(), (), ()]
    assert aws.look().pause_s == 5.0
    assert aws.said == []


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
def test_an_interruption_is_told_once_with_its_time(aws: Any, action: str) -> None:
    aws.cloud.interruption = {"action": action, "time": IN_TWO_MINUTES}
    (notice,) = aws.news()
    assert (notice.kind, notice.action) == ("interruption", action)
    assert notice.deadline_s == START_S + 120
    assert aws.news() == ()


def test_a_hibernation_that_has_begun_keeps_its_time_in_the_past(
    aws: Any, time: FakeTime
) -> None:
    aws.cloud.interruption = {"action": "hibernate", "time": "2016-09-19T18:28:47Z"}
    time.now_s += 3
    (notice,) = aws.news()
    assert notice.deadline_s == START_S


def test_an_interruption_that_is_gone_again_is_cancelled_once(aws: Any) -> None:
    aws.cloud.interruption = TERMINATE
    (told,) = aws.news()
    aws.cloud.interruption = None
    (notice,) = aws.news()
    assert (notice.kind, notice.id) == ("cancelled", told.id)
    assert aws.news() == ()


def test_an_interruption_that_comes_back_after_its_cancellation_counts_anew(aws: Any) -> None:
    kinds = []
    for announced in (TERMINATE, None, TERMINATE):
        aws.cloud.interruption = announced
        kinds += [notice.kind for notice in aws.news()]
    assert kinds == ["interruption", "cancelled", "interruption"]


def test_another_time_is_another_interruption_and_cancels_nothing(aws: Any) -> None:
    aws.cloud.interruption = TERMINATE
    aws.news()
    aws.cloud.interruption = {"action": "terminate", "time": "2016-09-19T18:29:47Z"}
    (notice,) = aws.news()
    assert (notice.kind, notice.deadline_s) == ("interruption", START_S + 60)


def test_a_recommendation_is_told_once_and_has_no_deadline(aws: Any) -> None:
    aws.cloud.rebalance = {"noticeTime": "2016-09-19T18:28:40Z"}
    (notice,) = aws.news()
    assert (notice.kind, notice.deadline_s) == ("rebalance", None)
    aws.cloud.interruption = TERMINATE
    assert [one.kind for one in aws.news()] == ["interruption"]
    for rebalance in (None, aws.cloud.rebalance):
        aws.cloud.rebalance = rebalance
        assert aws.news() == ()


def test_one_token_serves_until_shortly_before_it_expires(aws: Any, time: FakeTime) -> None:
    aws.cloud.ttl_s = 300
    for _ in range(3):
        aws.look()
    assert len(aws.cloud.tokens) == 1
    time.now_s += 280
    aws.look()
    assert len(aws.cloud.tokens) == 2
    assert aws.said == []


def test_a_token_refused_in_mid_run_is_replaced_within_the_look(aws: Any) -> None:
    aws.look()
    aws.cloud.revoke()
    aws.cloud.interruption = TERMINATE
    assert [notice.kind for notice in aws.news()] == ["interruption"]
    assert len(aws.cloud.tokens) == 2
    assert aws.said == []


def test_a_service_that_refuses_every_token_is_trouble_and_not_a_loop(aws: Any) -> None:
    aws.service.faults[INTERRUPTION_PATH] = Reply(status=401)
    assert aws.look().pause_s == 10.0
    assert len(aws.service.asked) == 4
    assert "refuses with status 401" in aws.said[0]


@pytest.mark.parametrize("path", ["/latest/api/token", INTERRUPTION_PATH])
def test_trouble_cancels_nothing(aws: Any, path: str) -> None:
    aws.cloud.interruption = TERMINATE
    aws.news()
    aws.cloud.revoke()
    aws.service.faults[path] = Reply(status=503)
    assert aws.news() == ()
    aws.service.faults.clear()
    assert aws.news() == ()


def test_advice_that_cannot_be_read_does_not_hide_an_interruption(aws: Any) -> None:
    aws.service.faults[REBALANCE_PATH] = Reply(status=500)
    aws.cloud.interruption = TERMINATE
    assert [notice.kind for notice in aws.news()] == ["interruption"]


@pytest.mark.parametrize(
    "announced",
    [
        {"action": "terminate", "time": "soon"},
        {"action": "terminate", "time": ""},
        {"action": "terminate", "time": 1474309727},
        {"action": "terminate"},
        b'{"action": "terminate", "ti',
        b"[]",
        b"[" * 50_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_what_cannot_be_read_is_trouble_until_it_can(aws: Any, announced: Any) -> None:
    aws.cloud.interruption = announced
    assert aws.look().news == aws.look().news == ()
    assert len(aws.said) == 1
    aws.cloud.interruption = TERMINATE
    assert [notice.kind for notice in aws.news()] == ["interruption"]


@pytest.mark.parametrize(
    ("ahead_s", "allowed_s"), [(300, 300), (-300, -300), (1.5, 0), (-1.5, 0)]
)
def test_a_clock_that_is_off_the_clouds_is_allowed_for(
    aws: Any, time: FakeTime, ahead_s: float, allowed_s: float
) -> None:
    aws.service.now_s = lambda: time.now_s - ahead_s
    aws.cloud.interruption = TERMINATE
    (notice,) = aws.news()
    assert notice.deadline_s is not None
    assert notice.deadline_s == pytest.approx(START_S + 120 + allowed_s, abs=1)
    assert notice.clock_ahead_s == pytest.approx(allowed_s, abs=1)
