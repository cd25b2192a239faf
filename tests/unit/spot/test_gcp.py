"""Google Compute Engine's notices."""

from typing import Any

import pytest

from tests.metadata.clock import START_S, FakeTime
from tests.metadata.server import Reply


def test_the_deadline_counts_from_the_first_look_that_saw_it(gcp: Any, time: FakeTime) -> None:
    assert gcp.look().news == ()
    assert gcp.look().pause_s == 1.0
    gcp.cloud.preempted = b"TRUE\n"
    (notice,) = gcp.news()
    assert (notice.kind, notice.deadline_s) == ("interruption", START_S + 30)
    time.now_s += 5
    assert gcp.news() == ()


def test_a_preemption_that_is_taken_back_is_cancelled(gcp: Any) -> None:
    gcp.cloud.preempted = b"TRUE"
    gcp.news()
    gcp.cloud.preempted = b"FALSE"
    assert [notice.kind for notice in gcp.news()] == ["cancelled"]


@pytest.mark.parametrize("said", [b"MAYBE", b"true", b"", b"{}", b"\xff"])
def test_anything_but_true_and_false_is_trouble(gcp: Any, said: bytes) -> None:
    gcp.cloud.preempted = said
    assert gcp.look().news == gcp.look().news == ()
    assert len(gcp.said) == 1


def test_an_answer_that_is_not_googles_orders_nothing(gcp: Any) -> None:
    gcp.service.faults["/"] = Reply(body=b"TRUE")
    assert gcp.news() == ()
    assert len(gcp.said) == 1
