"""All strategies side by side, with costs, times by hand, and the picture."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.errors import ConfigError
from orchestrator.plan.deal import deal_step
from orchestrator.simulate.command import Wanted, simulate_all
from orchestrator.simulate.measured import Measured, read_measured
from orchestrator.simulate.newcomers import Rules
from orchestrator.simulate.picture import plot_simulations
from orchestrator.simulate.run import Prices, simulate
from orchestrator.simulate.shapes import bursty, calm
from orchestrator.simulate.speed import Speed
from orchestrator.simulate.traces import Change, Trace
from tests.unit.simulate.made_log import a_chaotic_run

SMALL = Measured(num_micro=64, micro_s=0.5)


def test_a_step_takes_as_long_as_the_plan_deals_it() -> None:
    speed = Speed(SMALL)
    cost_K = 0.5 * np.linspace(0.75, 1.25, 64)
    hands = dict(enumerate(deal_step(cost_K, world_size=7)))
    assert speed.round_s(7) == pytest.approx(
        0.02 + max(cost_K[h].sum() for h in hands.values())
    )
    orphans_K = cost_K[hands[3]]
    shares = deal_step(orphans_K, world_size=6)
    more_s = max(orphans_K[share].sum() for share in shares)
    assert speed.orphans_s(3, world_size=7) == pytest.approx(more_s)


def test_measured_world_sizes_are_taken_as_measured_and_others_set_right_by_the_nearest() -> (
    None
):
    plain, known = Speed(SMALL), Speed(SMALL.model_copy(update={"round_s": ((4, 20.0),)}))
    assert known.round_s(4) == 20.0
    ratio = 20.0 / plain.round_s(4)
    assert known.round_s(8) == pytest.approx(ratio * plain.round_s(8))


def test_machines_that_nobody_takes_away_cost_what_they_cost() -> None:
    ups = tuple(Change(at_s=0, node=str(n), kind="up") for n in range(4))
    trace = Trace(name="still", end_s=36_000, changes=ups)
    found = simulate(trace, SMALL, Rules(most=4), Prices(spot=0.25, on_demand=1.0))
    elastic = found.ranked[0]
    assert found.mean_nodes == 4
    assert elastic.of_ideal == pytest.approx(1.0, abs=0.01)
    assert elastic.cost_per_1000 is not None
    assert elastic.cost_per_1000 / found.on_demand_per_1000 == pytest.approx(0.25, rel=0.01)


def test_survivors_that_stay_up_get_more_done_than_restarts() -> None:
    found = simulate(bursty(32, 12, 0), SMALL, Rules(least=2))
    elastic, tuned, stock = (ranked.outcome.steps for ranked in found.ranked)
    assert elastic > tuned > stock > 0


def test_a_trace_without_a_machine_costs_nothing_and_gets_nothing_done() -> None:
    found = simulate(Trace(name="none", end_s=100, changes=()), SMALL, Rules())
    assert [ranked.outcome.steps for ranked in found.ranked] == [0, 0, 0]
    assert [ranked.cost_per_1000 for ranked in found.ranked] == [None, None, None]


def test_a_thousand_nodes_for_a_day_take_seconds_and_not_minutes() -> None:
    # Few micro-batches: what is timed are the fleets, and not the dealing.
    trace, measured = calm(1000, 24, 0), Measured(num_micro=64, micro_s=2.5)
    started_s = time.process_time()
    simulate(trace, measured, Rules(least=100))
    assert time.process_time() - started_s < 10


def wanted(folder: Path, **fields: object) -> Wanted:
    plain = Wanted(
        traces=["calm"], nodes=6, hours=2.0, seed=0, spot=0.3, on_demand=1.0,
        measured=None, log=None, goodput=0.0, picture=folder / "new" / "picture.png",
    )  # fmt: skip
    return replace(plain, **fields)  # type: ignore[arg-type]


def test_a_runs_log_gives_the_times_and_is_replayed(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    log = a_chaotic_run(12, seed=3)
    asked = wanted(tmp_path, traces=None, log=log, goodput=0.9)
    report = simulate_all(asked, None, lambda *words: told.append(words))
    assert told == [(0, 3, "calm"), (1, 3, "diurnal"), (2, 3, "bursty"), (3, 3, "drawn")]
    figures = json.loads(json.dumps(report.as_json()))
    assert set(figures["traces"]) == {"calm", "diurnal", "bursty"}
    assert 0.5 < figures["replayed"]["goodput_simulated"] < 1
    with Image.open(figures["picture"]) as image:
        assert image.size[0] > 1500


@pytest.mark.parametrize("columns", [1, 2])
def test_a_picture_shows_every_strategy_for_every_trace(tmp_path: Path, columns: int) -> None:
    # A day with machines, and a day in which there is not one.
    empty = Trace(name="none", end_s=100, changes=())
    found = [simulate(calm(8, 6, 0), SMALL, Rules()), simulate(empty, SMALL, Rules())]
    path = tmp_path / "picture.png"
    plot_simulations(found[:columns], path, "a day")
    with Image.open(path) as image:
        pixels_HW3 = np.asarray(image.convert("RGB"), dtype=np.int64)
    for color in (
        (0x2F, 0x6D, 0xB5),
        (0xD9, 0x82, 0x2B),
        (0xC9, 0x37, 0x2C),
        (0xCB, 0xD2, 0xD9),
    ):
        assert (np.abs(pixels_HW3 - color).max(axis=-1) < 12).sum() > 200


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"nodes": 0}, "0 nodes"),
        ({"hours": 0.0}, "0 hours"),
        ({"traces": ["clam"]}, "clam: cannot be read"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    tmp_path: Path, fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        simulate_all(wanted(tmp_path, **fields), None, lambda *_: None)


def test_times_by_hand_are_read_and_all_that_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text('{"micro_s": 0.25, "round_s": [[3, 1.5]]}')
    assert read_measured(path) == Measured(micro_s=0.25, round_s=((3, 1.5),))
    path.write_text('{"micro_s": -1, "load": 3}')
    with pytest.raises(ConfigError) as caught:
        read_measured(path)
    first, second = str(caught.value).splitlines()
    assert "times.json: micro_s" in first
    assert "'-1'" in first
    assert "times.json: load" in second
    assert "load_s" in second
