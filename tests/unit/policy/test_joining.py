"""Damping of joining and leaving, by a fake clock: numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.policy.joining import (
    Admit,
    Hold,
    JoinWhenSteady,
    Loading,
    NodeHistory,
    Refuse,
    Start,
    StartLimits,
    Wait,
    may_start,
)

POLICY = JoinWhenSteady(steady_s=10, longest_s=120, window_s=600)


def coming_and_going(*losses_s: float, stay_s: float = 5.0) -> NodeHistory:
    history = NodeHistory(node="a")
    for loss_s in losses_s:
        history = history.joined(loss_s - stay_s).lost(loss_s, "process")
    return history


def test_a_node_that_was_never_here_joins_at_once() -> None:
    assert POLICY.decide(NodeHistory(node="a"), now_s=0, held_up=False) == Admit()


@pytest.mark.parametrize(
    ("losses_s", "now_s", "left_s"),
    [
        ((100,), 101, 9),
        ((100,), 109.5, 0.5),
        ((100,), 110, None),
        ((100, 120), 121, 19),
        ((100, 120, 140), 141, 39),
        ((100, 120, 140, 160, 180), 181, 119),
        ((100, 700), 701, 9),  # the first is forgotten
        ((100, 120, 140), 2000, None),
    ],
)
def test_each_quick_loss_doubles_the_wait_since_the_last_one(
    losses_s: tuple[float, ...], now_s: float, left_s: float | None
) -> None:
    answer = POLICY.decide(coming_and_going(*losses_s), now_s=now_s, held_up=False)
    if left_s is None:
        assert answer == Admit()
    else:
        assert isinstance(answer, Wait)
        assert answer.seconds == pytest.approx(left_s)
        assert "node a was lost" in answer.reason


@pytest.mark.parametrize(
    ("started_s", "left_s"), [(101, 9), (95, 4), (90.5, None), (math.inf, 9)]
)
def test_a_loss_that_was_noticed_late_counts_from_when_the_next_worker_was_started(
    started_s: float, left_s: float | None
) -> None:
    history = coming_and_going(100)
    answer = POLICY.decide(history, now_s=101, held_up=False, started_s=started_s)
    assert answer == Admit() if left_s is None else isinstance(answer, Wait)
    assert left_s is None or getattr(answer, "seconds", None) == left_s


def test_the_end_of_a_long_stay_is_not_held_against_a_node() -> None:
    history = coming_and_going(5000, stay_s=3600)
    assert POLICY.decide(history, now_s=5001, held_up=False) == Admit()


def test_a_worker_that_died_before_it_joined_counts_as_a_quick_loss() -> None:
    history = NodeHistory(node="a").lost(100, "process")
    assert isinstance(POLICY.decide(history, now_s=101, held_up=False), Wait)


def test_where_too_few_train_nobody_waits() -> None:
    assert POLICY.decide(coming_and_going(100, 110), now_s=111, held_up=True) == Admit()


@pytest.mark.parametrize("held_up", [True, False])
def test_a_draining_node_is_refused_until_its_notice_is_taken_back(*, held_up: bool) -> None:
    history = NodeHistory(node="a").noticed(is_draining=True)
    assert isinstance(POLICY.decide(history, now_s=0, held_up=held_up), Refuse)
    back = history.noticed(is_draining=False)
    assert POLICY.decide(back, now_s=0, held_up=held_up) == Admit()


times_s = st.lists(st.floats(0, 5000), max_size=30).map(sorted)


@given(times_s, st.floats(0, 700), st.floats(0, 700))
def test_who_waits_as_long_as_told_is_let_in_and_no_wait_is_longer_than_the_longest(
    losses_s: list[float], after_s: float, stay_s: float
) -> None:
    history = coming_and_going(*losses_s, stay_s=stay_s)
    now_s = after_s + (losses_s[-1] if losses_s else 0)
    answer = POLICY.decide(history, now_s=now_s, held_up=False)
    if isinstance(answer, Wait):
        assert 0 < answer.seconds <= POLICY.longest_s
        later_s = now_s + answer.seconds + 1e-6
        assert POLICY.decide(history, now_s=later_s, held_up=False) == Admit()


@given(times_s.filter(len), st.floats(0, 5000))
def test_one_more_loss_never_shortens_the_wait(losses_s: list[float], earlier_s: float) -> None:
    def wait_s(history: NodeHistory) -> float:
        answer = POLICY.decide(history, now_s=losses_s[-1], held_up=False)
        return answer.seconds if isinstance(answer, Wait) else 0.0

    more = sorted([*losses_s, min(earlier_s, losses_s[-1])])
    assert wait_s(coming_and_going(*more)) >= wait_s(coming_and_going(*losses_s))


LIMITS = StartLimits(per_node=2, in_all=3, forget_s=60)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], None),
        (["a"], None),
        (["b", "b"], None),
        (["a", "a"], "on node a"),
        (["b", "b", "c"], "in the cluster"),
    ],
)
def test_loads_take_turns_on_a_node_and_in_the_cluster(
    nodes: list[str], reason: str | None
) -> None:
    loading = [Loading(node=node, since_s=90) for node in nodes]
    answer = may_start("a", loading, now_s=100, limits=LIMITS)
    if reason is None:
        assert answer == Start()
    else:
        assert isinstance(answer, Hold)
        assert reason in answer.reason


def test_a_load_that_hangs_does_not_keep_others_from_starting() -> None:
    loading = [Loading(node="a", since_s=0)] * 5
    assert may_start("a", loading, now_s=60, limits=LIMITS) == Start()
