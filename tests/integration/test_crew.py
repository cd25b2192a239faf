"""The workers of one cell, as plain processes: the same weights however many they are."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForImageTextToText

from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.train.orders import Bounds
from tests.made_crew import (
    BROKEN,
    EVERYBODY,
    NUM_STEPS,
    PLAN,
    UNLABELLED,
    Scenario,
    Story,
    run_crew,
    tiny_job,
)


@pytest.fixture(scope="module")
def job_json(tiny_model: Path) -> str:
    return tiny_job(tiny_model)


@pytest.fixture(scope="module")
def alone(job_json: str) -> Story:
    """A worker that holds all of the base: what all others are held against."""
    (story,) = run_crew(Scenario(job_json, size=0))
    assert story.error == ""
    return story


def test_the_hands_suit_no_number_of_workers() -> None:
    hands = {len(PLAN.step(step).micros) - 1 for step in range(NUM_STEPS)} | {1}
    assert {1, 2, 3, 5} <= hands


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_crew_learns_what_one_worker_does(job_json: str, alone: Story, size: int) -> None:
    stories = run_crew(Scenario(job_json, size=size))
    assert [story.error for story in stories] == [""] * size
    assert {story.sha256 for story in stories} == {alone.sha256}
    assert stories[0].scores == alone.scores
    assert stories[0].state == alone.state
    # Whoever met an empty slot noted it, and nobody else did.
    assert sorted(slot for story in stories for slot in story.slots) == alone.slots
    assert {sample for _, sample in alone.slots} == BROKEN
    # Small tensors are whole on all, and rows do not divide evenly.
    for story in stories:
        assert story.held_bytes < 1.05 * alone.held_bytes / size


@pytest.mark.parametrize(
    ("family", "is_tied", "dtype"),
    [
        ("qwen2_vl", False, "float32"),
        ("qwen3_vl", False, "float32"),
        ("qwen2_5_vl", True, "bfloat16"),
    ],
)
def test_a_base_of_any_family_is_shared_out(
    tmp_path: Path, family: str, *, is_tied: bool, dtype: str
) -> None:
    write_tiny_model(tmp_path, family=family, size="test")
    if is_tied:
        tie_embeddings(tmp_path)
    job_json = tiny_job(tmp_path, model={"path": str(tmp_path), "dtype": dtype})
    (alone,) = run_crew(Scenario(job_json, size=0, steps=2))
    stories = run_crew(Scenario(job_json, size=2, steps=2))
    assert [story.error for story in (alone, *stories)] == ["", "", ""]
    assert {story.sha256 for story in stories} == {alone.sha256}
    assert stories[0].scores == alone.scores
    assert max(story.held_bytes for story in stories) < 0.53 * alone.held_bytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_crew_fuses_images_as_one_worker_does(tiny_model: Path, dtype: str) -> None:
    fusion = {"budget": 8, "narrow": 16, "grid": 2, "heads": 2, "layers": 1}
    model = {"path": str(tiny_model), "dtype": dtype}
    job_json = tiny_job(tiny_model, model=model, fusion=fusion)
    (alone,) = run_crew(Scenario(job_json, size=0))
    stories = run_crew(Scenario(job_json, size=2))
    assert [story.error for story in (alone, *stories)] == ["", "", ""]
    assert {story.sha256 for story in stories} == {alone.sha256}
    assert stories[0].scores == alone.scores


def tie_embeddings(folder: Path) -> None:
    """Make one tensor of a tiny model's first and last layer, as small published ones do."""
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
    model = AutoModelForImageTextToText.from_config(config)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    model.save_pretrained(folder)


def test_a_neighbours_state_reaches_the_followers(job_json: str, alone: Story) -> None:
    assert alone.state
    # The leader rests for longer than its followers would wait for a sign of life.
    scenario = Scenario(
        job_json, size=2, start=alone.state, idle_s=6.0, bounds=Bounds(order_s=3.0)
    )
    stories = run_crew(scenario)
    assert [story.error for story in stories] == ["", ""]
    assert {story.sha256 for story in stories} == {alone.sha256}


@pytest.mark.parametrize(
    ("rank", "what", "error"),
    [
        (1, "flipped", "JobError: train.crew: step 2: the states of a cell's workers have"),
        (1, "failing", "FaultError: train.crew: another worker of this cell failed"),
    ],
)
def test_what_goes_wrong_on_a_follower_is_found_by_the_leader(
    job_json: str, rank: int, what: str, error: str
) -> None:
    stories = run_crew(Scenario(job_json, size=2, trouble=(rank, what)))  # type: ignore[arg-type]
    assert stories[0].error.startswith(error)


def test_the_leader_knows_the_culprits_of_all(job_json: str) -> None:
    leader, _ = run_crew(Scenario(job_json, size=2, trouble=(EVERYBODY, "poisoned")))
    assert leader.error.startswith("NonFiniteError")
    # In the one without a sample, and in the one without a label, nothing is computed.
    plan = PLAN.step(1)
    computed = [
        micro
        for micro, planned in enumerate(plan.micros)
        if set(planned.samples) - BROKEN - {UNLABELLED}
    ]
    assert leader.culprits == computed


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("what", ["killed", "frozen"])
def test_who_is_left_of_a_crew_ends_within_a_bound(job_json: str, rank: int, what: str) -> None:
    bounds = Bounds(order_s=6.0, work_s=6.0)
    scenario = Scenario(job_json, size=2, bounds=bounds, trouble=(rank, what))  # type: ignore[arg-type]
    (left,) = run_crew(scenario)
    assert left.rank == 1 - rank
    assert left.error.startswith("FaultError")
    assert "a worker of this cell is gone or silent" in left.error
    assert left.wait_s < (4.0 if what == "killed" else 12.0)
