"""Figures from logs written by hand, small enough to check in one's head."""

import pytest

from orchestrator.tracking.events import Event, EventValue, make_event
from orchestrator.tracking.summary import EvalFigures, summarise


def step_done(number: int, wall_s: float, **fields: EventValue) -> Event:
    """A step of one second on two ranks, of an epoch of four."""
    usual: dict[str, EventValue] = {"loss": 9.0 - number, "world_size": 2, "round_s": 1.0}
    return make_event(
        "step",
        wall_s=wall_s,
        step=number,
        epoch=number // 4,
        samples=16,
        **{**usual, **fields},
    )


def steps_done(*walls_s: float) -> list[Event]:
    return [step_done(number, wall_s) for number, wall_s in enumerate(walls_s)]


def test_an_empty_log_gives_zeros() -> None:
    figures = summarise([])
    assert (figures.steps, figures.samples_used, figures.wall_s, figures.goodput) == (
        0,
        0,
        0,
        0,
    )
    assert figures.first_loss is None
    assert figures.final_loss is None
    assert figures.world_sizes == ()
    assert figures.restarts == 0


def test_a_run_that_died_before_its_first_step_has_a_wall_time_only() -> None:
    figures = summarise([make_event("started", wall_s=1.0), make_event("failed", wall_s=4.0)])
    assert (figures.steps, figures.wall_s) == (0, 3.0)


def test_an_undisturbed_run_is_all_goodput() -> None:
    figures = summarise(
        [
            make_event("started", wall_s=0),
            *steps_done(5, 6, 7, 8, 9),
            make_event("finished", wall_s=10),
        ]
    )
    assert (figures.steps, figures.epochs, figures.samples_used) == (5, 2, 80)
    assert (figures.first_loss, figures.final_loss) == (9.0, 5.0)
    assert figures.goodput == pytest.approx(1.0)
    assert figures.wall_s == 10
    assert figures.longest_gap_s == 0
    assert (figures.restarts, figures.steps_replayed) == (0, 0)


@pytest.mark.parametrize(
    ("walls_s", "gap_s"),
    [((), 0.0), ((1.0,), 0.0), ((1.0, 9.0), 0.0), ((1, 2, 3, 6.5, 7.5), 2.5), ((3, 2, 1), 0.0)],
)
def test_the_longest_gap_is_what_goes_beyond_the_median_step(
    walls_s: tuple[float, ...], gap_s: float
) -> None:
    assert summarise(steps_done(*walls_s)).longest_gap_s == pytest.approx(gap_s)


def test_an_evaluation_between_two_steps_is_no_gap() -> None:
    evaluated = make_event("eval", wall_s=60, step=2, loss=1.0, accuracy=0.5, samples=8)
    events = [*steps_done(1, 2, 3), evaluated, step_done(3, 61), step_done(4, 62)]
    assert summarise(events).longest_gap_s == pytest.approx(0.0)


def test_steps_done_again_after_a_restart_count_once() -> None:
    figures = summarise(
        [
            make_event("started", wall_s=0),
            *steps_done(1, 2, 3, 4),
            make_event("resumed", wall_s=10, step=2),
            step_done(2, 11, loss=6.5),
            step_done(3, 12),
            step_done(4, 13),
        ]
    )
    assert (figures.steps, figures.steps_replayed, figures.restarts) == (5, 2, 1)
    assert figures.samples_used == 80
    assert figures.longest_gap_s == pytest.approx(6.0)
    assert figures.goodput == pytest.approx(5 / 13)


def test_the_same_step_number_in_another_epoch_is_another_step() -> None:
    events = [step_done(0, 1.0), {**step_done(0, 2.0), "epoch": 1}]
    assert (summarise(events).steps, summarise(events).steps_replayed) == (2, 0)


def test_attempts_that_never_reached_a_checkpoint_are_restarts_too() -> None:
    assert summarise([make_event("started", wall_s=s) for s in (1, 2, 3)]).restarts == 2


def test_what_goes_on_after_a_pause_was_not_restarted() -> None:
    kinds = ["started", "paused", "resumed", "resumed", "paused", "resumed", "paused"]
    fields = {"paused": {"step": 2, "weights_sha256": "ab"}, "resumed": {"step": 2}}
    events = [
        make_event(kind, wall_s=second, **fields.get(kind, {}))
        for second, kind in enumerate(kinds)
    ]
    assert summarise(events).restarts == 1
    assert summarise(events[:3]).restarts == 0


def test_world_sizes_are_told_in_order_and_folded() -> None:
    sizes = (1, 1, 3, 3, 2, 3)
    events = [step_done(n, n, world_size=size) for n, size in enumerate(sizes)]
    events.insert(2, make_event("quorum", wall_s=1.5, step=2, world_size=3))
    assert summarise(events).world_sizes == (1, 3, 2, 3)


def test_an_empty_slot_found_again_is_one() -> None:
    slot = {"epoch": 0, "step": 3, "id": "a", "reason": "truncated"}
    events = [make_event("empty_slot", **slot, sample=sample) for sample in (7, 7, 8)]
    assert summarise(events).quarantined == 2


def test_slots_of_training_and_evaluation_with_the_same_numbers_are_two() -> None:
    slot = {"epoch": 0, "step": 3, "sample": 7, "id": "a", "reason": "truncated"}
    events = [make_event("empty_slot", **slot, part=part) for part in ("train", "eval")]
    assert summarise(events).quarantined == 2


def test_cells_that_come_and_go_are_counted() -> None:
    events = [make_event("joined", cell=f"cell{n}") for n in range(3)]
    events.append(make_event("lost", cell="cell1"))
    assert (summarise(events).joins, summarise(events).losses) == (3, 1)


def test_the_last_evaluation_of_a_step_is_kept() -> None:
    events = [
        make_event("eval", step=step, loss=loss, accuracy=0.5, samples=8)
        for step, loss in ((10, 2.0), (20, 1.5), (20, 1.0))
    ]
    assert summarise(events).evals == (
        EvalFigures(step=10, loss=2.0, accuracy=0.5, samples=8),
        EvalFigures(step=20, loss=1.0, accuracy=0.5, samples=8),
    )


def test_cells_are_paid_for_from_their_start_and_not_between_two_attempts() -> None:
    figures = summarise(
        [
            make_event("lighthouse", wall_s=0, url="there"),
            make_event("started", wall_s=20),
            make_event("joined", wall_s=20, cell=0, load_s=8.0),
            make_event("quorum", wall_s=20, step=0, world_size=1),
            step_done(1, 22, world_size=1),
            make_event("joined", wall_s=23, cell=1, load_s=None),
            make_event("quorum", wall_s=23, step=1, world_size=2),
            step_done(2, 24),
            make_event("lighthouse", wall_s=100, url="elsewhere"),
            make_event("resumed", wall_s=120, step=2),
            make_event("quorum", wall_s=120, step=2, world_size=1),
            make_event("finished", wall_s=125),
        ]
    )
    assert figures.cell_s == 8 + 3 + 2 * 1 + 5


def test_throughput_accumulation_and_peak_memory_are_those_of_the_steps_that_count() -> None:
    figures = summarise(
        [
            make_event("started", wall_s=0),
            step_done(1, 2, num_micro=4, peak_memory_mb=700.0, round_s=2.0),
            step_done(1, 4, num_micro=4, peak_memory_mb=900.0, round_s=2.0),
            step_done(2, 6, num_micro=6, peak_memory_mb=800.0, round_s=2.0),
        ]
    )
    assert figures.samples_per_s == 8.0
    assert figures.micro_batches == 5.0
    assert figures.peak_memory_mb == 900.0
    assert summarise([make_event("started", wall_s=0), *steps_done(1)]).peak_memory_mb is None
