"""Runs beside their simulation."""

import pytest

from orchestrator.errors import DataError
from orchestrator.simulate.measuring import from_events
from orchestrator.simulate.replay import as_trace, compare
from orchestrator.tracking.events import make_event
from orchestrator.tracking.summary import summarise
from tests.unit.simulate.made_log import MadeRun, a_chaotic_run


def test_times_are_found_in_a_runs_log() -> None:
    found = from_events(a_chaotic_run(60, seed=1))
    assert found.num_micro == 12
    assert dict(found.round_s)[3] == pytest.approx(2.0, rel=0.03)
    assert dict(found.round_s)[2] == pytest.approx(3.0, rel=0.03)
    assert found.between_s == pytest.approx(0.05, abs=0.01)
    assert found.join_s == pytest.approx(0.2, abs=0.05)
    assert found.pause_s == pytest.approx(0.15, abs=0.1)
    assert found.load_s == pytest.approx(8.0)
    assert found.checkpoint_s == pytest.approx(0.5)
    assert found.checkpoint_every_steps == 20


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("all_lost", [False, True])
def test_a_simulated_run_has_the_goodput_of_the_run_itself(
    seed: int, *, all_lost: bool
) -> None:
    events = a_chaotic_run(30, seed, all_lost=all_lost)
    figures = summarise(events)
    found = compare(events, figures.goodput)
    assert abs(found.difference) < 0.05
    assert found.simulated.steps == pytest.approx(figures.steps, rel=0.05)
    assert found.steps == figures.steps


def test_one_runs_times_foretell_another_run() -> None:
    measured = from_events(a_chaotic_run(30, seed=4))
    events = a_chaotic_run(60, seed=5)
    assert abs(compare(events, summarise(events).goodput, measured).difference) < 0.05


def test_a_comparison_notices_a_run_that_stood_still() -> None:
    measured = from_events(a_chaotic_run(30, seed=4))
    run = MadeRun()
    run.join(0, 1, 2)
    for _ in range(10):
        run.do_steps(5)
        run.wall_s += 10  # nothing in the log says why
    difference = compare(run.events, summarise(run.events).goodput, measured).difference
    assert difference > 0.5


def test_workers_lost_with_the_journal_end_with_its_last_word() -> None:
    run = MadeRun(wall_s=0)
    run.join(0, 1, cost_s=0)
    run.do_steps(3)
    last_s = run.events[-1]["wall_s"]
    run.wall_s += 100
    run.cells = []
    run.say("resumed", step=0)
    run.join(0)
    run.do_steps(3)
    trace = as_trace(run.events, from_events(run.events))
    gone = [change.at_s for change in trace.changes if change.kind == "down"]
    assert gone == [last_s, last_s]


def test_a_run_without_a_step_is_refused() -> None:
    with pytest.raises(DataError, match="no step was finished"):
        compare([make_event("started", wall_s=0)], 0.0)
