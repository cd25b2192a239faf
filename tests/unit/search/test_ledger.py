"""What is kept of a search, and what may change about it."""

from pathlib import Path

import pytest
import yaml

from orchestrator.config.load import load_job
from orchestrator.errors import ConfigError
from orchestrator.search.concluding import conclude
from orchestrator.search.ledger import Ledger, search_store, steps_done
from orchestrator.storage import Store
from orchestrator.tracking.events import encode, make_event
from tests.unit.search.made import a_job, a_trial, whole_grid


def test_a_later_driver_finds_every_trial_in_its_order_and_the_hours(tmp_path: Path) -> None:
    store = search_store(str(tmp_path), "demo")
    ledger = Ledger(store)
    for trial in reversed(whole_grid()):
        ledger.put(trial)
    later = Ledger(search_store(str(tmp_path), "demo"))
    assert list(later.trials.values()) == whole_grid()
    assert later.next_number() == 7
    assert later.hours >= ledger._hours_before


def test_the_space_and_the_budget_may_change_and_nothing_else_that_counts(
    tmp_path: Path,
) -> None:
    ledger = Ledger(search_store(str(tmp_path), "demo"))
    job = a_job(tmp_path)
    ledger.freeze(job.model_dump(mode="json"))
    wider = a_job(tmp_path, space={"lora.rank": [4]}, budget={"hours": 3})
    wider = wider.model_copy(update={"scale": job.scale.model_copy(update={"workers": (1, 8)})})
    ledger.freeze(wider.model_dump(mode="json"))
    other = job.model_copy(update={"lora": job.lora.model_copy(update={"rank": 3})})
    with pytest.raises(ConfigError, match=r"lora.rank: 3, was 16"):
        ledger.freeze(other.model_dump(mode="json"))


def test_progress_is_steps_of_all_trials_and_their_ends(tmp_path: Path) -> None:
    assert steps_done(str(tmp_path), "demo") == 0
    ledger = Ledger(search_store(str(tmp_path), "demo"))
    done = whole_grid()[0]
    ledger.put(done)
    under_way = a_trial(2, {"lora.rank": 2}, status="running", figures=None)
    ledger.put(under_way)
    assert steps_done(str(tmp_path), "demo") == 31
    step = make_event("step", step=5, epoch=0, loss=1.0, samples=4, round_s=1.0, world_size=1)
    Store.open(str(tmp_path)).child(under_way.name).append("events.jsonl", encode(step))
    assert steps_done(str(tmp_path), "demo") == 36


def test_the_best_job_is_a_file_that_loads_and_says_where_it_is_from(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    ledger = Ledger(search_store(str(tmp_path), "demo"))
    for trial in whole_grid():
        ledger.put(trial)
    conclusion = conclude(job, ledger)
    conclusion.keep(ledger.store)
    best = load_job(tmp_path / "searches/demo/best.yaml")
    assert best.name == "demo-best"
    assert best.search is None
    assert (best.images.max_images, best.train.global_batch) == (6, 8)
    assert best.model_copy(update={"images": job.images, "train": job.train}).data == job.data
    text = (tmp_path / "searches/demo/best.yaml").read_text()
    assert "max_images 6, global_batch 8" in text.splitlines()[0]
    assert "ab" * 32 in text
    found = yaml.safe_load((tmp_path / "searches/demo/search.json").read_text())
    assert found["best"]["values"] == {"images.max_images": 6, "train.global_batch": 8}
    assert len(found["trials"]) == 6
    assert found["effects"][0]["levels"][0]["interval"] is not None
