"""Which trial is next, with a checker that only says yes or no."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.cluster.searching.run import Report
from orchestrator.cluster.searching.stage import Stage, View, is_open
from orchestrator.cluster.searching.trial import result_of
from orchestrator.config.job import Job
from orchestrator.errors import ConfigError
from orchestrator.search.ledger import Ledger, search_store
from orchestrator.search.suggesting import suggester_of
from orchestrator.search.trials import Trial
from tests.unit.search.made import a_job, a_trial, figures_of

MakeStage = Callable[..., Stage]


def yes(job: Job) -> Any:
    return SimpleNamespace(job=job)


def small_batches_only(job: Job) -> Any:
    if job.train.global_batch > 8:
        raise ConfigError("too few samples", job.name, "Take fewer")
    return SimpleNamespace(job=job)


@pytest.fixture
def stage_of(tmp_path: Path) -> MakeStage:
    """A driver's stage over one ledger: each call is a later driver."""

    def make(check: Any = yes, room: int = 9, **search: Any) -> Stage:
        job = a_job(tmp_path, **search)
        ledger = Ledger(search_store(str(tmp_path), "demo"))
        suggester = suggester_of(cast("Any", job.search))
        return Stage(job, ledger, suggester, check, lambda: room, lambda _: None)

    return make


def begin(stage: Stage) -> Trial:
    found = stage.next()
    assert not isinstance(found, str)
    return stage.ledger.trials[found.prepared.job.name]


def end(stage: Stage, trial: Trial, loss: float = 1.0, **given: Any) -> None:
    stage.ended(a_trial(trial.number, trial.values, loss, **given))


def test_trials_begin_while_there_is_room_and_end_with_the_grid(stage_of: MakeStage) -> None:
    stage = stage_of(room=2)
    first, _ = begin(stage), begin(stage)
    assert stage.next() == "wait"
    end(stage, first)
    seen = [begin(stage)]
    for _ in range(3):
        end(stage, seen[-1])
        seen.append(begin(stage))
    end(stage, seen[-1])
    assert stage.next() == "over"
    assert [trial.number for trial in stage.ledger.trials.values()] == [1, 2, 3, 4, 5, 6]


def test_what_cannot_run_is_noted_with_its_reason_and_passed_over(stage_of: MakeStage) -> None:
    stage = stage_of(small_batches_only)
    begun = [begin(stage) for _ in range(3)]
    assert stage.next() == "over"
    assert {trial.values["train.global_batch"] for trial in begun} == {8}
    refused = [t for t in stage.ledger.trials.values() if t.status == "refused"]
    assert [t.reason for t in refused] == ["too few samples"] * 3


def test_a_later_driver_goes_on_with_what_was_under_way_and_repeats_nothing(
    stage_of: MakeStage,
) -> None:
    first = stage_of()
    done, failed, under_way = (begin(first) for _ in range(3))
    end(first, done)
    end(first, failed, status="failed", reason="NaN")
    later = stage_of()
    names = [begin(later).name for _ in range(4)]
    assert names[0] == under_way.name
    assert later.next() == "over"
    assert not {done.name, failed.name} & set(names)
    assert len(later.ledger.trials) == 6


def test_a_budget_of_trials_counts_those_of_earlier_drivers(stage_of: MakeStage) -> None:
    first = stage_of(budget={"trials": 2})
    end(first, begin(first))
    later = stage_of(budget={"trials": 2})
    begin(later)
    assert later.next() == "over"


def test_what_the_budget_cut_short_goes_on_with_a_larger_one(stage_of: MakeStage) -> None:
    first = stage_of(budget={"steps": 30})
    done, cut = begin(first), begin(first)
    end(first, done)
    reason = first.cut_short()
    assert reason == "budget.steps (30) is spent"
    assert first.next() == "over"
    end(first, cut, status="stopped", reason=reason)
    assert is_open(first.ledger.trials[cut.name])
    assert begin(stage_of(budget={"steps": 99})).name == cut.name
    behind = a_trial(9, {"lora.rank": 9}, status="stopped", reason="behind the others")
    assert not is_open(behind)


@pytest.mark.parametrize("searcher", ["tpe", "random"])
def test_a_searcher_that_draws_survives_its_driver(stage_of: MakeStage, searcher: str) -> None:
    given = {
        "space": {"train.learning_rate": {"log": [1e-5, 1e-2]}},
        "searcher": searcher,
        "budget": {"trials": 5},
    }
    first = stage_of(**given)
    one, two, three = (begin(first) for _ in range(3))
    end(first, one)
    end(first, two, status="stopped", reason="behind the others")
    later = stage_of(**given)
    assert begin(later).name == three.name
    end(later, three)
    for _ in range(2):
        end(later, begin(later))
    assert later.next() == "over"
    assert len(later.ledger.trials) == 5


def test_a_person_sees_how_running_trials_stand(stage_of: MakeStage) -> None:
    stage = stage_of()
    trial = begin(stage)
    stage.stands(trial.name, figures_of(0.7, steps=4), "waiting for a node")
    view: View = stage.view()
    assert view.trials[0].figures == figures_of(0.7, steps=4)
    assert view.notes[trial.name] == "waiting for a node"
    assert view.spent.steps == 4


def test_a_scheduler_is_told_of_progress_with_a_fresh_measurement_only() -> None:
    figures = figures_of(0.5, steps=10)
    assert "progress" not in result_of(Report("running", figures=figures))
    measured = result_of(Report("running", figures=figures, measured_now=True))
    assert (measured["progress"], measured["loss"], measured["done"]) == (333, 0.5, False)
    assert result_of(Report("failed", "NaN", figures=figures))["done"]
