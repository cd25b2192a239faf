"""From a space to the jobs of trials."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.search import Span
from orchestrator.errors import ConfigError
from orchestrator.search.space import at, draw, grid, job_with
from tests.unit.search.made import SPACE, a_job, a_search

CHOICES = st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True)


@given(
    st.dictionaries(
        st.sampled_from(["lora.rank", "train.epochs", "train.seed"]), CHOICES, min_size=1
    )
)
def test_a_grid_has_every_combination_once(space: dict[str, list[int]]) -> None:
    points = list(grid(a_search(space=space).space))
    assert len(points) == math.prod(map(len, space.values()))
    assert {tuple(p.values()) for p in points} == set(itertools.product(*space.values()))
    assert all(list(point) == list(space) for point in points)


@given(st.integers(0, 10**6), st.integers(0, 2**32 - 1))
def test_a_draw_depends_on_seed_and_number_alone_and_stays_in_the_space(
    number: int, seed: int
) -> None:
    space = a_search(
        space={
            "images.max_images": [2, 4],
            "lora.rank": {"log": [4, 64]},
            "lora.dropout": {"range": [0, 0.1]},
            "train.learning_rate": {"log": [1e-5, 1e-2]},
        },
        searcher="random",
        budget={"trials": 3},
    ).space
    point = draw(space, seed=seed, number=number)
    assert point == draw(space, seed=seed, number=number)
    assert point["images.max_images"] in (2, 4)
    rank, dropout, rate = (point[f] for f in list(space)[1:])
    assert isinstance(rank, int)
    assert isinstance(dropout, float)
    assert isinstance(rate, float)
    assert 4 <= rank <= 64
    assert 0.0 <= dropout <= 0.1
    assert 1e-5 <= rate <= 1e-2


@pytest.mark.parametrize(("share", "rank"), [(0.0, 4), (0.5, 16), (1.0, 64)])
def test_the_middle_of_a_log_range_is_its_geometric_mean(share: float, rank: int) -> None:
    assert at("lora.rank", Span(log=(4, 64)), share) == pytest.approx(rank, abs=1)


@settings(max_examples=20)
@given(st.sampled_from([2, 4, 6]), st.sampled_from([8, 16]))
def test_a_trials_job_differs_from_its_searchs_in_what_it_sets_its_name_and_the_search(
    images: int, batch: int
) -> None:
    job = a_job()
    values = dict(zip(SPACE, (images, batch), strict=True))
    trial = job_with(job, values, name="one")
    assert (trial.images.max_images, trial.train.global_batch) == (images, batch)
    assert (trial.name, trial.search) == ("one", None)
    back = {
        "name": job.name,
        "search": job.search,
        "images": trial.images.model_copy(update={"max_images": job.images.max_images}),
        "train": trial.train.model_copy(update={"global_batch": job.train.global_batch}),
    }
    assert trial.model_copy(update=back) == job


def test_a_whole_section_may_be_a_choice_and_data_sets_of_which_there_is_one() -> None:
    job = a_job()
    values: dict[str, Any] = {"fusion": {"budget": 64}, "data.train.weight": 2.0}
    trial = job_with(job, values, name="one")
    assert trial.fusion is not None
    assert trial.fusion.budget == 64
    assert trial.data.training[0].weight == 2.0
    assert job_with(job, {"fusion.budget": 64}, name="one").fusion == trial.fusion


def test_values_that_do_not_go_together_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"budget \(4\) has no room for images.max_images \(8\)"
    ):
        job_with(a_job(), {"images.max_images": 8, "fusion": {"budget": 4}}, name="one")
