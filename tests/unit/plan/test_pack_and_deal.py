"""Packing a step and dealing it out."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.plan.deal import deal_step
from orchestrator.plan.pack import pack_samples

lengths = st.lists(st.integers(1, 512), min_size=1, max_size=64)


@given(lengths)
def test_every_sample_is_packed_once_and_no_budget_is_exceeded(tokens: list[int]) -> None:
    bins = pack_samples(np.array(tokens), max_tokens=512)
    assert sorted(chain.from_iterable(bins)) == list(range(len(tokens)))
    assert all(sum(tokens[place] for place in places) <= 512 for places in bins)


@given(lengths)
def test_no_two_micro_batches_would_fit_into_one(tokens: list[int]) -> None:
    loads = sorted(
        sum(tokens[place] for place in places)
        for places in pack_samples(np.array(tokens), max_tokens=512)
    )
    assert len(loads) < 2 or loads[0] + loads[1] > 512


@given(lengths)
def test_each_sample_goes_where_it_first_fits_the_longest_first(tokens: list[int]) -> None:
    bins: list[list[int]] = []
    for place in sorted(range(len(tokens)), key=lambda place: -tokens[place]):
        for places in bins:
            if sum(tokens[other] for other in places) + tokens[place] <= 512:
                places.append(place)
                break
        else:
            bins.append([place])
    assert pack_samples(np.array(tokens), max_tokens=512) == [sorted(b) for b in bins]


def test_a_sample_over_the_budget_is_refused_with_the_budget_it_needs() -> None:
    with pytest.raises(PlanError, match="at least 600"):
        pack_samples(np.array([600]), max_tokens=512)


@given(
    st.lists(st.floats(0.1, 100), max_size=40),
    st.integers(1, 50),
)
def test_every_micro_batch_is_dealt_once_at_every_world_size(
    costs: list[float], world_size: int
) -> None:
    hands = deal_step(np.array(costs), world_size=world_size)
    assert len(hands) == world_size
    assert sorted(chain.from_iterable(hands)) == list(range(len(costs)))


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=40), st.integers(1, 8))
def test_no_rank_carries_more_than_the_mean_and_one_micro_batch(
    costs: list[float], world_size: int
) -> None:
    hands = deal_step(np.array(costs), world_size=world_size)
    heaviest = max(sum(costs[micro] for micro in hand) for hand in hands)
    assert heaviest <= sum(costs) / world_size + max(costs) + 1e-9


def test_a_step_cannot_be_dealt_to_nobody() -> None:
    with pytest.raises(PlanError):
        deal_step(np.array([1.0]), world_size=0)
