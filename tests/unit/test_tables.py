"""A search in the words of the terminal."""

from pathlib import Path

from orchestrator.cli.search import _news
from orchestrator.cluster.searching.stage import View
from orchestrator.search.budget import Spent
from orchestrator.search.concluding import conclude
from orchestrator.search.ledger import Ledger, search_store
from orchestrator.search.trials import Trial
from orchestrator.tables import TRIAL_COLUMNS, search_rows, search_title, trial_line, trial_row
from tests.unit.search.made import a_job, a_trial, figures_of, whole_grid

VALUES = {"images.max_images": 4, "train.learning_rate": 1e-4}


def test_a_trial_is_a_row_of_the_table_however_far_it_is() -> None:
    figures = figures_of(0.25, steps=3, peak_memory_mb=None)
    under_way = a_trial(2, VALUES, status="running", figures=figures)
    row = trial_row(under_way, "waiting for a node")
    assert len(row) == len(TRIAL_COLUMNS)
    assert row[:5] == ["2", "max_images 4, learning_rate 0.0001", "running", "3/30", "0.2500"]
    assert row[7:] == ["-", "0.010", "waiting for a node"]
    refused = a_trial(3, VALUES, status="refused", reason="too few", figures=None)
    assert trial_row(refused, "")[3:] == ["-"] * 6 + ["too few"]


def test_what_becomes_of_a_trial_is_a_line() -> None:
    failed = a_trial(
        2, {"lora.rank": 4}, status="failed", reason="NaN", figures=figures_of(0.5)
    )
    assert trial_line(failed) == "trial 2 (rank 4) failed after 30 steps, loss 0.5000: NaN"


def test_a_search_is_told_by_what_it_found(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    ledger = Ledger(search_store(str(tmp_path), "demo"))
    for trial in whole_grid():
        ledger.put(trial)
    rows = dict(search_rows(conclude(job, ledger)))
    assert rows["trials"] == "6 finished"
    assert rows["the best"].startswith("max_images 6, global_batch 8: loss 0.1747")
    view = View(tuple(whole_grid()), Spent(6, 180, 0.5, 0.06), 2, {})
    assert search_title(view).startswith("6 of 6 trials ended, room for 2 at once; 180 steps")


def test_news_of_trials_are_told_once_and_not_what_ended_before() -> None:
    old = a_trial(1, {"lora.rank": 2})
    running = a_trial(2, {"lora.rank": 4}, status="running", figures=None)
    done = a_trial(2, {"lora.rank": 4}, 0.5)
    told: dict[str, str] = {}
    spent = Spent(2, 0, 0.0, 0.0)

    def news(trial: Trial, note: str = "") -> list[str]:
        return [*_news(View((old, trial), spent, 1, {trial.name: note}), told)]

    assert news(running) == ["trial 2 (rank 4) running"]
    assert news(running, "no node") == ["trial 2 waits: no node"]
    assert news(running, "no node") == []
    assert news(done) == ["trial 2 (rank 4) finished after 30 steps, loss 0.5000"]
