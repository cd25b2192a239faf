from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.fusion.analysis import Trainings, paired, verdicts, write_table
from tests.bench.fusion.measure import packed, unpacked
from tests.bench.fusion.picture import plot_results
from tests.bench.fusion.results import read_results, write_results
from tests.bench.fusion.study import SEEDS, methods_of, missing
from tests.bench.fusion.tasks import TASKS

HIT = {"full": 0.96, "fusion": 0.94, "mean": 0.5, "text": 0.1, "no spatial": 0.8}


def made_result(task: str, method: str, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng((seed, len(task), len(method)))
    right = rng.random(512) < HIT[method]
    accuracy = dict.fromkeys(("2", "4", "8", "16", "32"), float(right.mean()))
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "accuracy": accuracy,
        "lm_tokens": dict.fromkeys(accuracy, 32.0),
        "controls": {"shuffled": 0.5, "swapped": 0.1},
        "right": packed(right),
        "cpu_s": 10.0,
    }


RESULTS = [made_result(t, m, s) for t in TASKS for m in HIT for s in range(3)]


def test_the_interval_of_a_difference_holds_it_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for turn in range(40):
        hard_S, luck_R1 = rng.random(200), 0.02 * rng.standard_normal((8, 1))
        one_RS = (hard_S + 0.1 * rng.random((8, 200)) < 0.7 + luck_R1).astype(np.float64)
        other_RS = (hard_S + 0.1 * rng.random((8, 200)) < 0.6 + luck_R1).astype(np.float64)
        estimate = paired(one_RS, other_RS, seed=turn)
        held += estimate.low <= 0.1 <= estimate.high
    assert 35 <= held <= 40


def test_a_method_beside_itself_differs_by_nothing() -> None:
    one_RS = np.random.default_rng(0).integers(0, 2, (3, 50)).astype(np.float64)
    estimate = paired(one_RS, one_RS)
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_rights_and_wrongs_survive_being_packed() -> None:
    right = np.random.default_rng(0).random(512) < 0.3
    assert (unpacked(packed(right)) == right).all()


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert read_results(path) == []
    write_results(RESULTS, path)
    assert len(read_results(path)) == len(RESULTS)
    assert all(one in RESULTS for one in read_results(path))


def test_the_bar_is_judged_by_what_was_measured() -> None:
    said = "\n".join(verdicts(Trainings(RESULTS)))
    assert "at least 10 points on 5 of 5 tasks: met" in said
    assert "no spatial, on difference: costs +13.5" in said


def test_a_page_gets_the_table_where_it_has_a_place_for_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- from tests/bench/fusion/results.json -->\nold\n<!-- end -->\nafter\n",
        encoding="utf-8",
    )
    text = write_table(RESULTS, page)
    assert "\n| fusion | 9" in text
    assert page.read_text(encoding="utf-8").startswith("before\n<!-- from")
    assert text in page.read_text(encoding="utf-8")
    assert "old" not in page.read_text(encoding="utf-8")


def test_the_picture_is_drawn_from_what_there_is(tmp_path: Path) -> None:
    plot_results(RESULTS, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_only_what_is_missing_is_trained() -> None:
    wanted = sum(len(methods_of(task)) for task in TASKS) * SEEDS
    assert sum(len(unit.methods) for unit in missing([], SEEDS, ())) == wanted
    there = [one for one in RESULTS if one["method"] in methods_of(one["task"])]
    left = sum(len(unit.methods) for unit in missing(there, SEEDS, ()))
    assert left == wanted - len(there)
    assert {unit.methods for unit in missing([], 1, ["needle/fusion"])} == {("fusion",)}
