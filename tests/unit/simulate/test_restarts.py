"""Checkpoint and restart on a trace."""

import pytest

from orchestrator.simulate.measured import Measured
from orchestrator.simulate.outcome import Outcome
from orchestrator.simulate.restarts import RestartedGroup, RestartTimes
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Change, ChangeKind, Trace

# Two workers take 2 s a step; a model loads in the time that the table counts for it.
TIMES = Measured(
    num_micro=4, micro_s=1.0, spread=0.0, fixed_s=0.0, load_s=3.8,
    checkpoint_every_steps=10, checkpoint_s=1.0,
)  # fmt: skip
RESTARTS = RestartTimes(
    name="restarts", killed_s=10, down_s=30, frozen_s=40, notice_s=20, growth_s=15, look_s=50
)
TWO: tuple[tuple[float, str, ChangeKind], ...] = ((0, "a", "up"), (0, "b", "up"))


def outcome_of(
    *rows: tuple[float, str, ChangeKind], end_s: float, load_s: float = 3.8, least: int = 1
) -> Outcome:
    changes = tuple(Change(at_s=at_s, node=node, kind=kind) for at_s, node, kind in rows)
    trace = Trace(name="made", end_s=end_s, changes=changes)
    measured = TIMES.model_copy(update={"load_s": load_s})
    return RestartedGroup(trace, measured, RESTARTS, (least, 9), Speed(measured)).run()


@pytest.mark.parametrize(("kind", "pause_s"), [("killed", 10), ("down", 30), ("frozen", 40)])
def test_at_a_fault_all_stop_and_do_again_what_came_after_the_checkpoint(
    kind: ChangeKind, pause_s: float
) -> None:
    # Steps from 10 s on: 25 of them by 61 s, of which the checkpoint has 20.
    outcome = outcome_of(*TWO, (61, "b", kind), end_s=200)
    step_s = 2 if kind == "killed" else 4
    assert outcome.steps_replayed == 5
    assert outcome.steps == 20 + int((200 - 61 - pause_s) / step_s)
    assert outcome.lost_node_s == pytest.approx(2 * (5 * 2 + 1))


def test_a_base_model_that_loads_slowly_is_paid_for_at_every_restart() -> None:
    quick = outcome_of(*TWO, (100, "b", "killed"), end_s=400)
    slow = outcome_of(*TWO, (100, "b", "killed"), end_s=400, load_s=33.8)
    assert slow.standstill_s == pytest.approx(quick.standstill_s + 30, abs=2)


def test_a_node_that_went_while_the_others_regrouped_has_them_regroup_again() -> None:
    outcome = outcome_of(*TWO, (0, "c", "up"), (61, "c", "down"), (80, "b", "down"), end_s=200)
    assert outcome.losses == 2
    assert next(p.at_s for p in outcome.points if p.world_size == 1) == 110


def test_a_node_that_was_drained_is_missed_by_nobody_when_it_goes() -> None:
    gone = outcome_of(*TWO, (61, "b", "notice"), (181, "b", "down"), end_s=400)
    kept = outcome_of(*TWO, (61, "b", "notice"), end_s=400)
    assert (gone.steps, gone.losses) == (kept.steps, kept.losses)


def test_more_machines_are_taken_in_at_the_next_look_by_a_restart_of_all() -> None:
    outcome = outcome_of((0, "a", "up"), (20, "b", "up"), end_s=200)
    assert next(p.at_s for p in outcome.points if p.world_size == 2) == 20 + 50 + 15
    assert outcome.joins == 1


def test_with_fewer_than_the_least_nobody_trains_until_one_more_comes() -> None:
    outcome = outcome_of(*TWO, (61, "b", "down"), (200, "c", "up"), end_s=300, least=2)
    assert [(p.at_s, p.world_size) for p in outcome.points][1:3] == [(61, 0), (210, 2)]
