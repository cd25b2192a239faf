"""What a scheduler of Ray Tune's makes of trials that an earlier driver has had."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.tune.schedulers import TrialScheduler

from orchestrator.cluster.searching.stage import Stage
from orchestrator.cluster.searching.tuning import _scheduler
from orchestrator.search.ledger import Ledger, search_store
from orchestrator.search.suggesting import suggester_of
from orchestrator.storage import Store
from orchestrator.tracking.events import encode, make_event
from tests.unit.search.made import a_job, a_trial, figures_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def a_stage(folder: Path, **search: Any) -> Stage:
    job = a_job(folder)
    config = cast("Any", job.search).model_copy(update=search)
    job = job.model_copy(update={"search": config})
    ledger = Ledger(search_store(str(folder), "demo"))
    check = cast("Any", None)
    return Stage(job, ledger, suggester_of(config), check, lambda: 1, lambda _: None)


def kept(folder: Path, number: int, losses: dict[int, float]) -> None:
    """A trial of 100 steps that has ended, with what it measured."""
    figures = figures_of(min(losses.values()), steps=100, planned_steps=100)
    values = {"images.max_images": number, "train.global_batch": 8}
    trial = a_trial(number, values, figures=figures)
    Ledger(search_store(str(folder), "demo")).put(trial)
    run = Store.open(str(folder)).child(trial.name)
    for step, loss in losses.items():
        event = make_event("eval", step=step, loss=loss, accuracy=0.5, samples=8)
        run.append("events.jsonl", encode(event))


@pytest.mark.parametrize(
    ("loss", "verdict"), [(0.4, TrialScheduler.CONTINUE), (0.9, TrialScheduler.STOP)]
)
def test_a_new_trial_is_held_against_those_of_an_earlier_driver(
    tmp_path: Path, loss: float, verdict: str
) -> None:
    for number, at_the_first_look in enumerate((0.5, 0.6, 0.7, 0.8), 1):
        kept(tmp_path, number, {20: at_the_first_look, 100: 0.1})
    scheduler = _scheduler(a_stage(tmp_path, scheduler="asha"))
    newcomer = cast("Any", SimpleNamespace(trial_id="new"))
    scheduler.on_trial_add(cast("Any", None), newcomer)
    result = {"progress": 130, "loss": loss}
    assert scheduler.on_trial_result(cast("Any", None), newcomer, result) == verdict


def test_without_a_scheduler_every_trial_goes_on(tmp_path: Path) -> None:
    kept(tmp_path, 1, {20: 0.1})
    scheduler = _scheduler(a_stage(tmp_path))
    newcomer = cast("Any", SimpleNamespace(trial_id="new"))
    result = {"progress": 130, "loss": 9.0}
    verdict = scheduler.on_trial_result(cast("Any", None), newcomer, result)
    assert verdict == TrialScheduler.CONTINUE
