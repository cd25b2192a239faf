"""A population that is bred, its runs written by hand and its driver killed at will."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.cluster.searching.stage import Leg, Stage
from orchestrator.config.job import Job
from orchestrator.errors import StorageError
from orchestrator.search.ledger import Ledger, search_store
from orchestrator.search.suggesting import suggester_of
from orchestrator.search.trials import Trial, TrialFigures
from orchestrator.storage import Store
from orchestrator.tracking.events import encode, make_event
from orchestrator.tracking.run_log import EVENTS
from orchestrator.train.checkpoint import latest_checkpoint, write_checkpoint
from orchestrator.train.manifest import freeze, read_manifest
from tests.unit.search.made import a_job, figures_of

NUM_STEPS = 30
Open = Callable[..., Stage]


def the_job(storage: Path, **search: Any) -> Job:
    plain = a_job(storage).model_dump(mode="json")
    plain["train"]["eval_every_steps"] = 10
    plain["search"] = {
        "space": {"train.learning_rate": {"log": [1e-5, 1e-1]}},
        "searcher": "random",
        "scheduler": "pbt",
        **search,
    }
    return Job.model_validate_json(json.dumps(plain))


class KilledError(Exception):
    """The driver is gone."""


@pytest.fixture
def open_stage(tmp_path: Path) -> Open:
    """Each call is a later driver over one ledger."""

    def make(*, room: int = 9, writes: int | None = None, **search: Any) -> Stage:
        job = the_job(tmp_path, **search)
        ledger = Ledger(search_store(str(tmp_path), "demo"))
        if writes is not None:
            left = iter(range(writes))
            put = ledger.put

            def put_or_die(trial: Trial) -> None:
                if next(left, None) is None:
                    raise KilledError
                put(trial)

            ledger.put = put_or_die  # type: ignore[method-assign]

        def check(trial_job: Job) -> Any:
            return SimpleNamespace(job=trial_job, num_steps=lambda _: NUM_STEPS)

        suggester = suggester_of(cast("Any", job.search))
        return Stage(job, ledger, suggester, check, lambda: room, lambda _: None)

    return make


def runs(stage: Stage, name: str) -> Store:
    return Store.open(stage.job.storage.path).child(name)


def train(stage: Stage, leg: Leg) -> None:
    """Do what a training would: measurements, a checkpoint, and word of it."""
    name, job = leg.prepared.job.name, leg.prepared.job
    store = runs(stage, name)
    newest, _ = latest_checkpoint(store)
    history = [] if newest is None else json.loads(newest.files["state"])
    freeze(store, job.model_dump(mode="json"), "data", 512, {"kind": "one"})
    end = leg.until or NUM_STEPS
    for step in range(len(history) + 1, end + 1):
        history.append(job.train.learning_rate)
        if step % 10 == 0:
            # The nearer to a thousandth, all the way, the better.
            loss = sum(abs(rate - 1e-3) for rate in history)
            event = make_event("eval", step=step, loss=loss, accuracy=0.5, samples=8)
            store.append(EVENTS, encode(event))
    write_checkpoint(store, end, {"state": json.dumps(history).encode()}, lambda: None)
    figures = figures_of(0.5, steps=end - leg.begun_at, planned_steps=NUM_STEPS - leg.begun_at)
    finish(stage, name, figures, paused=leg.until is not None)


def finish(stage: Stage, name: str, figures: TrialFigures, *, paused: bool) -> None:
    if paused:
        stage.paused(name, figures)
        return
    trial = stage.ledger.trials[name]
    stage.ended(replace(trial, status="finished", figures=figures, weights_sha256="ab"))


def all_of(stage: Stage) -> dict[str, tuple[str, str]]:
    """What a search has come to: each trial, how it ended, and with which state."""
    found = {}
    for trial in stage.ledger.trials.values():
        newest, _ = latest_checkpoint(runs(stage, trial.name))
        state = newest.files["state"].decode() if newest else ""
        found[trial.name] = (trial.status, state)
    return found


def search(stage: Stage) -> None:
    """Train until all is over, the last that was begun first."""
    under_way: list[Leg] = []
    while True:
        found = stage.next()
        if isinstance(found, Leg):
            under_way.append(found)
        elif under_way:
            train(stage, under_way.pop())
        else:
            assert found == "over"
            return


def test_all_are_compared_at_each_measurement_and_as_many_finish_as_there_are_members(
    open_stage: Open,
) -> None:
    stage = open_stage()
    search(stage)
    trials = list(stage.ledger.trials.values())
    assert [trial.status for trial in trials].count("finished") == 4
    stopped = [trial for trial in trials if trial.status == "stopped"]
    # At steps 10 and 20; at 30 all is over.
    assert len(stopped) == 2
    copies = [trial for trial in trials if trial.life and trial.life.parent]
    assert sorted(trial.life.parent_step for trial in copies if trial.life) == [10, 20]
    assert all(trial.reason.startswith("given up at step") for trial in stopped)


def test_a_copy_begins_with_its_parents_state_and_settings_of_its_own(open_stage: Open) -> None:
    stage = open_stage()
    search(stage)
    [copy] = [t for t in stage.ledger.trials.values() if t.life and t.life.parent_step == 10]
    assert copy.life is not None
    parent = stage.ledger.trials[copy.life.parent]
    history = json.loads(latest_checkpoint(runs(stage, copy.name))[0].files["state"])  # type: ignore[union-attr]
    assert history[:10] == [parent.values["train.learning_rate"]] * 10
    assert history[10:20] == [copy.values["train.learning_rate"]] * 10
    manifest = read_manifest(runs(stage, copy.name))
    assert manifest is not None
    assert manifest.index_fingerprint == "data"
    assert manifest.numeric_class == {"kind": "one"}
    assert manifest.job["name"] == copy.name


def test_how_many_run_at_once_changes_nothing(open_stage: Open, tmp_path: Path) -> None:
    search(one := open_stage(room=1))
    found = all_of(one)
    shutil.rmtree(tmp_path)
    search(many := open_stage(room=9))
    assert all_of(many) == found


def test_a_driver_killed_at_any_write_is_followed_by_one_that_breeds_the_same(
    open_stage: Open, tmp_path: Path
) -> None:
    search(undisturbed := open_stage())
    found = all_of(undisturbed)
    deaths = 0
    for writes in range(0, 36, 3):
        shutil.rmtree(tmp_path)
        try:
            search(open_stage(writes=writes))
        except KilledError:
            deaths += 1
        later = open_stage(room=2)
        search(later)
        assert all_of(later) == found, f"killed at write {writes}"
    assert deaths > 6


def test_a_member_that_fails_is_followed_by_a_copy_of_another(open_stage: Open) -> None:
    stage = open_stage()
    legs = [leg for _ in range(4) if isinstance(leg := stage.next(), Leg)]
    bad = stage.ledger.trials[legs[1].prepared.job.name]
    stage.ended(replace(bad, status="failed", reason="NaN"))
    for leg in (legs[0], legs[2], legs[3]):
        train(stage, leg)
    search(stage)
    statuses = [trial.status for trial in stage.ledger.trials.values()]
    assert statuses.count("finished") == 4
    assert statuses.count("failed") == 1


def test_a_search_of_which_all_members_fail_is_over(open_stage: Open) -> None:
    stage = open_stage()
    for _ in range(4):
        leg = stage.next()
        assert isinstance(leg, Leg)
        trial = stage.ledger.trials[leg.prepared.job.name]
        stage.ended(replace(trial, status="failed", reason="no such model"))
    assert stage.next() == "over"


def test_a_budget_ends_all_and_a_larger_one_goes_on(open_stage: Open) -> None:
    search(whole := open_stage())
    found = all_of(whole)
    shutil.rmtree(whole.job.storage.path)
    stage = open_stage(budget={"steps": 25})
    under_way = []
    while isinstance(leg := stage.next(), Leg):
        under_way.append(leg)
    for leg in under_way:
        train(stage, leg)
    assert stage.next() == "over"
    reason = stage.cut_short()
    assert reason is not None
    for trial in list(stage.ledger.trials.values()):
        stage.ended(replace(trial, status="stopped", reason=reason))
    later = open_stage()
    search(later)
    assert all_of(later) == found


def test_a_run_that_is_not_where_it_paused_is_not_copied(open_stage: Open) -> None:
    stage = open_stage()
    legs = [leg for _ in range(4) if isinstance(leg := stage.next(), Leg)]
    for leg in legs:
        train(stage, leg)
        store = runs(stage, leg.prepared.job.name)
        write_checkpoint(store, 11, {"state": b"[]"}, lambda: None)
    with pytest.raises(StorageError, match="no checkpoint of step 10 to copy: one of step 11"):
        stage.next()


def test_what_cannot_change_in_mid_run_cannot_be_bred(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="global_batch cannot change in mid-run"):
        the_job(tmp_path, space={"train.global_batch": [8, 16]})
    with pytest.raises(ValueError, match="set searcher to random"):
        the_job(tmp_path, searcher="tpe")
    with pytest.raises(ValueError, match=r"leave budget\.trials out"):
        the_job(tmp_path, budget={"trials": 3})
