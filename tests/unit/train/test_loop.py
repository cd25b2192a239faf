"""Whole trainings in threads: whoever dies, joins or errs, the same weights."""

import itertools
import threading
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError, NonFiniteError
from orchestrator.plan.steps import Address, Part, StepPlan
from orchestrator.train.contracts import Departures, Score, Wishes
from orchestrator.train.crew import score_units
from orchestrator.train.loop import TWICE
from orchestrator.train.schedule import learning_rate
from orchestrator.train.state import EvalSums
from tests.unit.train.fakes import Cell, Death, Moment, Script, Training
from tests.unit.train.small import (
    CONFIG,
    EPOCHS,
    EVAL_PLAN,
    NUM_SAMPLES,
    TERMS,
    TRAIN_PLAN,
    PlannedBatches,
    SmallLearner,
    label_tokens,
    new_tensors,
)

NUM_ROUNDS = 12
"""Two steps are done twice, for each tensor's first gradient; two evaluations are of two."""
MOMENTS: tuple[Moment, ...] = ("before agree", "before add", "during add", "before commit")


def weights_of(cells: list[Cell]) -> set[str]:
    """Hashes of the weights of all that were not killed; none of them met an error."""
    survivors = [cell for cell in cells if not cell.was_killed]
    for cell in survivors:
        if cell.error is not None:
            raise cell.error
    return {cell.replica.weights_sha256() for cell in survivors}


@cache
def undisturbed() -> Cell:
    """The training with one worker: what all others are held against."""
    [cell] = Training().run(1)
    return cell


def undisturbed_weights() -> set[str]:
    return weights_of([undisturbed()])


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_any_number_of_workers_trains_the_same_weights(world_size: int) -> None:
    cells = Training().run(world_size)
    assert weights_of(cells) == undisturbed_weights()
    assert {cell.replica.progress.round for cell in cells} == {NUM_ROUNDS}
    assert len({cell.replica.to_bytes() for cell in cells}) == 1


@pytest.mark.parametrize("until", [2, 3, 5])
def test_a_pause_and_another_number_of_workers_after_it_change_nothing(until: int) -> None:
    paused = Training(terms=replace(TERMS, until=until)).run(3)
    assert {cell.replica.progress.step for cell in paused} == {until}
    assert {cell.end for cell in paused} == {"done"}
    later = Training(state=paused[0].replica.to_bytes()).run(2)
    assert weights_of(later) == undisturbed_weights()


def test_it_learns_what_plain_training_learns() -> None:
    learner = SmallLearner(new_tensors())
    optimizer = torch.optim.AdamW(learner.tensors.values(), weight_decay=0.1)
    for plan in TRAIN_PLAN.steps_from(0):
        batches = [PlannedBatches().fetch("train", plan, k) for k in range(len(plan.micros))]
        tokens = sum(batch.label_tokens for batch in batches)
        (sum(learner.loss(batch, dropout=True) for batch in batches) / tokens).backward()
        torch.nn.utils.clip_grad_norm_(learner.tensors.values(), 1.0)
        optimizer.param_groups[0]["lr"] = learning_rate(
            plan.step, num_steps=6, peak=0.05, warmup_fraction=0.3, schedule="cosine"
        )
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in undisturbed().replica.tensors.items():
        torch.testing.assert_close(tensor, learner.tensors[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("moment", "round_"), [*itertools.product(MOMENTS, range(NUM_ROUNDS))])
def test_a_worker_may_die_at_any_moment_of_any_round(moment: Moment, round_: int) -> None:
    cells = Training(Script(deaths=(Death(1, round_, moment),))).run(3)
    assert weights_of(cells) == undisturbed_weights()
    assert [cell.was_killed for cell in cells] == [False, True, False]


@pytest.mark.parametrize("round_", [0, 4, NUM_ROUNDS - 1])
def test_those_who_missed_a_sum_get_its_outcome_from_those_who_saw_it(round_: int) -> None:
    death = Death(0, round_, "during add", witnesses=frozenset({2}))
    cells = Training(Script(deaths=(death,))).run(4)
    assert weights_of(cells) == undisturbed_weights()
    reports = [Counter(event["round"] for event in c.notes.of("step")) for c in cells[1:]]
    # Nobody reports a round twice, and one that is healed past a round does not report it.
    assert all(max(rounds.values()) == 1 for rounds in reports)


@pytest.mark.parametrize("round_", range(NUM_ROUNDS))
def test_a_newcomer_takes_over_the_state_and_part_of_the_work(round_: int) -> None:
    cells = Training(Script(joins=((2, round_),))).run(2)
    assert weights_of(cells) == undisturbed_weights()
    sizes = [event["world_size"] for event in cells[0].notes.of("step")]
    assert sizes == sorted(sizes)
    first = [event["round"] for event in cells[2].notes.events if "round" in event]
    # The last round is a piece of an evaluation whose end is what is reported.
    assert first[0] > round_


def test_a_newcomer_asks_for_nothing_of_the_step_that_it_comes_with() -> None:
    # The rendering would go back there, and the others would wait.
    asked: list[tuple[int, Part, int]] = []

    class Listening(PlannedBatches):
        def step_plan(self, part: Part, step: int) -> StepPlan:
            asked.append((threading.get_ident(), part, step))
            return super().step_plan(part, step)

    Training(Script(joins=((2, 4),)), batches=Listening()).run(2)
    first = {thread: step for thread, part, step in reversed(asked) if part == "train"}
    assert sorted(first.values())[:2] == [0, 0]
    assert max(first.values()) > 1


def test_survivors_of_a_failed_step_compute_only_what_the_dead_one_had() -> None:
    # Round 3 is the second try at step 2, its grid known.
    death = Death(cell=1, round=3, moment="before add")
    cells = Training(Script(deaths=(death,))).run(3)
    assert weights_of(cells) == undisturbed_weights()
    computed = Counter(samples for cell in cells for samples in cell.learner.taken)
    usual = Counter(samples for cell in Training().run(3) for samples in cell.learner.taken)
    again = computed - usual
    assert set(again) == set(cells[1].learner.taken[-len(again) :])
    assert all(cells[1].learner.taken.count(samples) for samples in again)


@pytest.mark.parametrize("round_", [3, 4, 6])
def test_a_cell_that_was_taken_for_dead_and_is_not_is_found_out_by_the_sum(round_: int) -> None:
    # The others have computed its share too, and it comes with its own.
    cells = Training(Script(absences=((0, round_),))).run(3)
    assert weights_of(cells) == undisturbed_weights()
    assert TWICE in [event["reason"] for event in cells[2].notes.of("redo")]
    assert all(cell.end == "done" for cell in cells)


@pytest.mark.parametrize("round_", range(NUM_ROUNDS - 1))
def test_a_worker_that_asks_to_leave_is_let_go_at_the_end_of_the_round(round_: int) -> None:
    cells = Training(Script(asks=((1, round_, Wishes(leaving=True)),))).run(3)
    assert weights_of([cells[0], cells[2]]) == undisturbed_weights()
    assert [cell.end for cell in cells] == ["done", "left", "done"]
    assert cells[1].replica.progress.round == round_ + 1
    told = Departures(num_leaving=1, leaver=1)
    assert all(cell.notes.departures[round_] == told for cell in cells)
    # Its share of the next round was dealt to the others from the start.
    taken = Counter(samples for cell in cells for samples in cell.learner.taken)
    assert taken == Counter(samples for c in Training().run(3) for samples in c.learner.taken)


@pytest.mark.parametrize("round_", [1, 3, 4, 6])
def test_a_round_that_is_broken_off_for_newcomers_is_shared_out_among_all(
    round_: int,
) -> None:
    cells = Training(Script(joins=((1, round_),), regroups=(round_,))).run(1)
    assert weights_of(cells) == undisturbed_weights()
    taken = Counter(samples for cell in cells for samples in cell.learner.taken)
    assert taken == Counter(undisturbed().learner.taken)
    assert not {TWICE} & {event["reason"] for event in cells[0].notes.of("redo")}


def test_several_may_leave_at_once_and_all_may() -> None:
    go = Wishes(leaving=True)
    cells = Training(Script(asks=((0, 4, go), (2, 4, go), (3, 4, go)))).run(5)
    assert weights_of([cells[1], cells[4]]) == undisturbed_weights()
    assert cells[1].notes.departures[4] == Departures(num_leaving=3)
    everybody = Training(Script(asks=((0, 4, go), (1, 4, go)))).run(2)
    assert {cell.end for cell in everybody} == {"left"}
    assert len({cell.replica.to_bytes() for cell in everybody}) == 1


def test_all_know_when_one_asks_for_a_checkpoint() -> None:
    cells = Training(Script(asks=((1, 5, Wishes(saving=True)),))).run(3)
    assert weights_of(cells) == undisturbed_weights()
    for cell in cells:
        assert [d.num_saving for d in cell.notes.departures] == [0] * 5 + [1] + [0] * 6


def test_an_agreement_that_fails_for_one_is_sought_again_by_all() -> None:
    cells = Training(Script(doubts=((1, 0), (0, 3), (1, 11)))).run(3)
    assert weights_of(cells) == undisturbed_weights()


@st.composite
def disasters(draw: st.DrawFn) -> tuple[int, Script]:
    """A number of cells to begin with, and a script that one of these survives."""
    world_size = draw(st.integers(1, 4))
    rounds = st.integers(0, NUM_ROUNDS - 1)
    joins = {world_size + n: draw(rounds) for n in range(draw(st.integers(0, 3)))}
    everybody = [*range(world_size), *joins]
    survivor = draw(st.integers(0, world_size - 1))
    deaths = [
        Death(
            cell=cell,
            round=draw(st.integers(joins.get(cell, 0), NUM_ROUNDS - 1)),
            moment=draw(st.sampled_from(MOMENTS)),
            witnesses=frozenset(draw(st.sets(st.sampled_from(everybody)))),
        )
        for cell in everybody
        if cell != survivor and draw(st.booleans())
    ]
    beginners = st.tuples(st.integers(0, world_size - 1), rounds)
    doubts = draw(st.sets(beginners, max_size=2))
    absences = draw(st.sets(beginners, max_size=2)) if world_size > 2 else ()
    return world_size, Script(
        tuple(deaths), tuple(joins.items()), tuple(doubts), tuple(absences)
    )


@settings(max_examples=25)
@given(disasters())
def test_losses_and_joins_leave_no_trace_in_the_weights(disaster: tuple[int, Script]) -> None:
    world_size, script = disaster
    cells = Training(script).run(world_size)
    assert weights_of(cells) == undisturbed_weights()
    figures = {event["step"]: figures_of(event) for event in step_events([undisturbed()])}
    for event in step_events(cells):
        assert figures_of(event) == figures[event["step"]]


def step_events(cells: list[Cell]) -> list[dict[str, float]]:
    return [event for cell in cells for event in cell.notes.of("step")]


def figures_of(event: dict[str, float]) -> dict[str, float]:
    """All that an event says which does not depend on who was there."""
    return {k: v for k, v in event.items() if k not in ("world_size", "round_s", "round")}


@pytest.mark.parametrize("world_size", [1, 3])
def test_every_sample_is_used_once_an_epoch(world_size: int) -> None:
    cells = Training().run(world_size)
    redone = Counter(
        sample
        for event in cells[0].notes.of("redo")
        for sample in TRAIN_PLAN.samples_of(event["step"] - 1).tolist()
    )
    taken = Counter(s for cell in cells for micro in cell.learner.taken for s in micro)
    assert taken - redone == Counter(dict.fromkeys(range(NUM_SAMPLES), EPOCHS))
    steps = cells[0].notes.of("step")
    assert [event["epoch"] for event in steps] == [0, 0, 0, 1, 1, 1]
    assert sum(event["samples"] for event in steps) == NUM_SAMPLES * EPOCHS
    tokens = sum(map(label_tokens, range(NUM_SAMPLES)))
    assert sum(event["label_tokens"] for event in steps) == tokens * EPOCHS
    assert sum(event["tokens"] for event in steps) == TRAIN_PLAN.tokens_N.sum() * EPOCHS


def test_a_step_whose_gradient_no_grid_was_known_for_is_done_again() -> None:
    events = undisturbed().notes.events
    # The gradient of "a" is zero until "b" has left zero: its grid is found a step later.
    assert [(event["kind"], event["step"], event["round"]) for event in events[:5]] == [
        ("redo", 1, 1),
        ("step", 1, 2),
        ("redo", 2, 3),
        ("step", 2, 4),
        ("step", 3, 5),
    ]
    assert [event["kind"] for event in events].count("redo") == 2


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_gradient_with_nan_ends_the_training_and_is_named(world_size: int) -> None:
    plan = TRAIN_PLAN.step(2)
    cells = Training(poison=(Address(0, 2, 1), "b")).run(world_size)
    errors = [cell.error for cell in cells]
    assert all(isinstance(error, NonFiniteError) for error in errors)
    told = [error.problem for error in errors if isinstance(error, NonFiniteError)]
    named = [problem for problem in told if "another worker" not in problem]
    ids = ", ".join(f"id{sample}" for sample in plan.micros[1].samples)
    assert named == [f"step 3: NaN or infinity in b, from samples {ids}"]
    assert all(problem.startswith("step 3: ") for problem in told)
    assert {cell.replica.progress.step for cell in cells} == {2}


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_held_out_loss_that_is_not_finite_is_named_by_its_samples(loss: float) -> None:
    class Lost(SmallLearner):
        def score(self, batch: MicroBatch) -> Score:
            return replace(super().score(batch), loss=loss)

    batch = PlannedBatches().fetch("eval", EVAL_PLAN.step(0), 0)
    with pytest.raises(NonFiniteError, match=", ".join(f"id{s}" for s in batch.samples)):
        score_units(Lost(new_tensors()), batch)


@pytest.mark.parametrize("round_", [0, 4, 8])
def test_one_flipped_bit_in_one_replica_ends_the_training(round_: int) -> None:
    cells = Training(Script(flips=((1, round_),))).run(3)
    for cell in cells:
        assert isinstance(cell.error, JobError)
        assert "drifted apart" in cell.error.problem


def test_one_worker_alone_has_nobody_to_drift_from() -> None:
    [cell] = Training(Script(flips=((0, 4),))).run(1)
    assert cell.error is None


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_empty_slots_are_told_before_the_sum_and_do_not_count(world_size: int) -> None:
    whole_micro = TRAIN_PLAN.step(1).micros[0].samples
    broken = frozenset({*whole_micro, int(TRAIN_PLAN.samples_of(0)[0])})
    # Death before the first sum: what was found empty has been told already.
    script = Script(deaths=tuple(Death(cell, 0, "before add") for cell in range(1, world_size)))
    cells = Training(script, batches=PlannedBatches(broken)).run(world_size)
    assert weights_of(cells) == weights_of(Training(batches=PlannedBatches(broken)).run(1))
    assert weights_of(cells) != undisturbed_weights()
    told = [event for cell in cells for event in cell.notes.of("empty_slot")]
    assert {slot for event in told for slot in event["slots"]} == {
        (sample, "cut short") for sample in broken
    }
    assert cells[0].notes.events[0]["kind"] in ("empty_slot", "redo")
    steps = cells[0].notes.of("step")
    assert sum(event["samples"] for event in steps) == EPOCHS * (NUM_SAMPLES - len(broken))
    assert not any(set(micro) & broken for cell in cells for micro in cell.learner.taken)


def test_a_step_that_lost_all_its_samples_is_still_a_step() -> None:
    broken = frozenset(TRAIN_PLAN.samples_of(1).tolist())
    cells = Training(batches=PlannedBatches(broken)).run(2)
    assert len(weights_of(cells)) == 1
    empty = cells[0].notes.of("step")[1]
    assert (empty["step"], empty["samples"], empty["loss"], empty["grad_norm"]) == (2, 0, 0, 0)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_an_evaluation_says_the_same_on_any_number_of_workers(world_size: int) -> None:
    expected = undisturbed().notes.of("eval")
    cells = Training(Script(joins=((9, 6),))).run(world_size)
    assert weights_of(cells) == undisturbed_weights()
    for cell in cells[:world_size]:
        evals = [{**event, "world_size": 1} for event in cell.notes.of("eval")]
        assert evals == expected
    assert [event["step"] for event in expected] == [3, 6]
    assert all(event["samples"] == 9 for event in expected)
    assert all(event["accuracy"] == 4 / 9 for event in expected)


def test_the_pieces_of_an_evaluation_add_up_to_the_same_integers() -> None:
    found = set()
    for world_size in (1, 2, 4):
        # All die before the second piece, so that the sums of the first can be looked at.
        deaths = tuple(Death(cell, 6, "before add") for cell in range(world_size))
        cells = Training(Script(deaths)).run(world_size)
        found |= {cell.replica.progress.eval_sums for cell in cells}
    [sums] = found
    assert sums.loss_units > 0
    assert sums.label_tokens == sum(map(label_tokens, range(5)))
    assert (sums.samples, sums.correct) == (5, 2)


def test_an_evaluation_leaves_no_sums_behind() -> None:
    progress = undisturbed().replica.progress
    assert (progress.eval_step, progress.eval_sums, progress.evaluated_at) == (
        0,
        EvalSums(),
        6,
    )


@pytest.mark.parametrize("max_norm", [None, 0.05])
def test_gradients_are_clipped_alike_on_any_number_of_workers(max_norm: float | None) -> None:
    training = Training(config=CONFIG.model_copy(update={"max_grad_norm": max_norm}))
    alone, three = training.run(1), training.run(3)
    assert weights_of(alone) == weights_of(three)
    norms = [event["grad_norm"] for event in alone[0].notes.of("step")]
    assert norms == [event["grad_norm"] for event in three[2].notes.of("step")]
    # What is reported is the length before it was cut.
    assert max(norms) > 0.05
    assert weights_of(alone) != undisturbed_weights()


def test_every_rank_is_told_of_every_step_once_it_is_applied() -> None:
    cells = Training().run(2)
    for rank, cell in enumerate(cells):
        assert cell.notes.applied == [(step, rank) for step in range(1, 7)]
