"""Cells on a trace: what they lose, and what they do not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.policy.joining import JoinWhenSteady, StartLimits
from orchestrator.simulate.fleet import Fleet
from orchestrator.simulate.measured import Measured
from orchestrator.simulate.newcomers import Rules
from orchestrator.simulate.outcome import Outcome
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Change, ChangeKind, Trace

# Two workers take 2 s a step, one takes 4 s; a loss costs its share.
TIMES = Measured(
    num_micro=4, micro_s=1.0, spread=0.0, fixed_s=0.0, heartbeat_s=0.5, pause_s=0.25,
    join_s=0.5, load_s=10.0, checkpoint_every_steps=10, checkpoint_s=1.0, restore_s=3.0,
)  # fmt: skip

Row = tuple[float, str, ChangeKind]


def trace_of(*rows: Row, end_s: float, lead_s: float = 60.0) -> Trace:
    changes = [
        Change(
            at_s=at_s, node=node, kind=kind,
            deadline_s=at_s + lead_s if kind == "notice" else None,
        )
        for at_s, node, kind in rows
    ]  # fmt: skip
    return Trace(name="made", end_s=end_s, changes=tuple(c for c in changes if c.at_s < end_s))


def outcome_of(*rows: Row, end_s: float, lead_s: float = 60.0, **rules: int) -> Outcome:
    trace = trace_of(*rows, end_s=end_s, lead_s=lead_s)
    return Fleet(trace, TIMES, Rules(**rules), Speed(TIMES)).run()


def sizes(outcome: Outcome) -> list[int]:
    return [size for size, _ in itertools.groupby(p.world_size for p in outcome.points)]


TWO: tuple[Row, ...] = ((0, "a", "up"), (0, "b", "up"))


def test_workers_that_nothing_disturbs_do_nothing_but_steps() -> None:
    outcome = outcome_of(*TWO, end_s=110)
    assert (outcome.steps, outcome.goodput, outcome.standstill_s) == (50, 1.0, 0.0)
    assert sizes(outcome) == [2]


@pytest.mark.parametrize(
    ("at_s", "cost_s"),
    [
        (
            50.5,
            0.25,
        ),  # early in a step of 50 to 52: the heartbeat runs while the other computes
        (51.75, 0.5),  # late: a quarter of a second of silence is waited for
    ],
)
def test_a_loss_costs_the_others_its_share_and_a_moment(at_s: float, cost_s: float) -> None:
    outcome = outcome_of(*TWO, (at_s, "b", "down"), end_s=100)
    # 20 steps until 50 s, one that ends after both shares, then steps of 4 s.
    assert outcome.steps == 20 + 1 + int((100 - 50 - 2 - 2 - cost_s) / 4)
    assert outcome.steps_replayed == 0
    assert outcome.lost_node_s == pytest.approx(at_s - 50)
    assert sizes(outcome) == [2, 1]


def test_a_notice_costs_nothing_at_all() -> None:
    outcome = outcome_of(*TWO, (51, "b", "notice"), (111, "b", "down"), end_s=100)
    assert outcome.steps == 21 + 12
    assert (outcome.standstill_s, outcome.lost_node_s, outcome.losses) == (0.0, 0.0, 1)


def test_a_deadline_before_the_steps_end_is_left_before() -> None:
    rows: list[Row] = [*TWO, (50.5, "b", "notice")]
    outcome = outcome_of(*rows, end_s=100, lead_s=1.0)
    # No silence to wait for, but the share is lost.
    assert outcome.lost_node_s == pytest.approx(0.5)
    assert sizes(outcome) == [2, 1]


def test_a_newcomer_loads_beside_the_training_and_joins_at_a_steps_end() -> None:
    outcome = outcome_of((0, "a", "up"), (19, "b", "up"), end_s=100)
    # Steps of 4 s from 10 s on; b has loaded at 29 s, and the fifth step ends at 30 s.
    assert outcome.steps == 5 + int((100 - 30 - 0.5) / 2)
    assert next(p.at_s for p in outcome.points if p.world_size == 2) == 30.5
    assert outcome.joins == 2


def test_where_all_are_lost_training_goes_on_from_the_newest_checkpoint_that_holds() -> None:
    # Steps end at 12, 14, ...; the tenth is saved by 31 s, the twentieth not before 51 s.
    for down_s, saved in ((30.9, 0), (31.1, 10), (50.9, 10), (51.1, 20)):
        rows: list[Row] = [*TWO, (down_s, "a", "down"), (down_s, "b", "down")]
        outcome = outcome_of(*rows, (60, "c", "up"), end_s=100)
        done = int((down_s - 10) / 2)
        assert outcome.steps_replayed == done - saved
        assert outcome.steps == saved + int((100 - 60 - 10 - 3) / 4)
        assert sizes(outcome) == [2, 0, 1]


def test_notices_to_all_lose_no_step() -> None:
    rows: list[Row] = [*TWO, (45.5, "a", "notice"), (45.6, "b", "notice")]
    outcome = outcome_of(*rows, (105, "a", "down"), (105, "b", "down"), end_s=100)
    assert (outcome.steps, outcome.steps_replayed, outcome.losses) == (18, 0, 2)


def test_with_fewer_than_the_least_training_stands_still_and_loses_no_step() -> None:
    outcome = outcome_of(*TWO, (50.5, "b", "down"), (60, "c", "up"), end_s=100, least=2)
    assert outcome.steps == 20 + int((100 - 70 - 0.5) / 2)
    assert outcome.steps_replayed == 0
    assert sizes(outcome) == [2, 0, 2]


def test_no_more_than_the_most_train_and_a_spare_takes_a_place_that_is_free() -> None:
    rows: list[Row] = [*TWO, (0, "c", "up"), (50.5, "a", "down")]
    outcome = outcome_of(*rows, end_s=100, most=2)
    assert sizes(outcome) == [2, 1, 2]


def test_a_worker_that_dies_again_and_again_is_damped() -> None:
    deaths: list[Row] = [(at_s, "b", "killed") for at_s in range(50, 290, 20)]
    rules = {"joining": JoinWhenSteady(steady_s=30.0)}
    trace = trace_of(*TWO, *deaths, end_s=300)
    damped = Fleet(trace, TIMES, Rules(**rules), Speed(TIMES)).run()
    eager = Fleet(trace, TIMES, Rules(joining=JoinWhenSteady(steady_s=0.0)), Speed(TIMES)).run()
    assert damped.joins < eager.joins == 2 + len(deaths)


def test_loads_take_turns() -> None:
    rows: list[Row] = [(0, str(node), "up") for node in range(6)]
    rules = Rules(starts=StartLimits(in_all=2))
    outcome = Fleet(trace_of(*rows, end_s=100), TIMES, rules, Speed(TIMES)).run()
    assert sizes(outcome)[0] == 2
    assert max(sizes(outcome)) == 6
    first_of_six_s = next(p.at_s for p in outcome.points if p.world_size == 6)
    assert first_of_six_s >= 30


def that_can_be(rows: list[Row]) -> list[Row]:
    """Without what happens to nodes that are not there, and arrivals of those that are."""
    up: set[str] = set()
    kept: list[Row] = []
    for at_s, node, kind in sorted(rows, key=lambda row: row[0]):
        if (kind == "up") is not (node in up):
            kept.append((at_s, node, kind))
            up = up - {node} if kind in {"down", "frozen"} else up | {node}
    return kept


kinds = st.sampled_from(["up", "up", "down", "notice", "killed", "frozen"])
rows = st.lists(st.tuples(st.floats(0, 400), st.sampled_from("abcde"), kinds), max_size=40)


@given(rows.map(that_can_be), st.integers(1, 3), st.integers(0, 3), st.floats(0.5, 60))
def test_no_trace_makes_time_or_steps_out_of_nothing(
    found: list[Row], least: int, more: int, lead_s: float
) -> None:
    outcome = outcome_of(*found, end_s=400, lead_s=lead_s, least=least, most=least + more)
    assert 0.0 <= outcome.goodput <= 1.0
    assert outcome.steps >= 0
    assert outcome.steps_replayed >= 0
    assert outcome.standstill_s <= outcome.wall_s <= 400
    times_s = [point.at_s for point in outcome.points]
    assert times_s == sorted(times_s)
    assert all(
        p.world_size == 0 or least <= p.world_size <= least + more for p in outcome.points
    )
