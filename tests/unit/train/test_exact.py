"""Sums of gradients that do not depend on order."""

import itertools
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import NonFiniteError
from orchestrator.train.exact import (
    Count,
    GradientSum,
    clip,
)
from orchestrator.train.grid import NUM_BUCKETS, TARGET_BITS, Grid, bucket_of
from orchestrator.train.mean import MeanGradients
from orchestrator.train.units import limit_bits

TENSORS = {"a": torch.zeros(3, 4), "b": torch.zeros(5)}
COUNTS = {Count.LABEL_TOKENS: 3, Count.SAMPLES: 1, Count.TOKENS: 10}


def gradients(seed: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(tensor.shape, generator=generator) * scale for tensor in TENSORS.values()
    ]


def summed(micros: list[int], ranks: int, grid: Grid, scale: float = 1.0) -> torch.Tensor:
    """What a reduction over ``ranks`` gives, the micro-batches dealt in the order given."""
    shares = [GradientSum(TENSORS, grid, num_micros=len(micros)) for _ in range(ranks)]
    for place, micro in enumerate(micros):
        shares[place % ranks].take(gradients(micro, scale), loss=micro / 7, counts=COUNTS)
    return torch.stack([share.payload(fingerprint=0) for share in shares]).sum(dim=0)


def fitted_grid(scale: float = 1.0) -> Grid:
    total = GradientSum(TENSORS, Grid.unknown(2), num_micros=7)
    for micro in range(7):
        total.take(gradients(micro, scale), loss=1.0, counts=COUNTS)
    return total.reduced(total.payload(0)).next_grid


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_any_order_on_any_number_of_ranks_gives_the_same_bits(ranks: int) -> None:
    grid = fitted_grid()
    expected = summed(list(range(7)), 1, grid)
    for seed in range(5):
        order = random.Random(seed).sample(range(7), 7)
        assert torch.equal(summed(order, ranks, grid), expected)


def test_float_sums_would_not_have_done() -> None:
    orders = itertools.islice(itertools.permutations(range(7)), 200)
    sums = {float(sum(gradients(micro)[0][0, 0] for micro in order)) for order in orders}
    assert len(sums) > 1


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 1e6, 1e20])
def test_the_mean_is_within_float32_of_the_true_one_at_every_scale(scale: float) -> None:
    total = GradientSum(TENSORS, fitted_grid(scale), num_micros=7)
    for micro in range(7):
        total.take(gradients(micro, scale), loss=1.0, counts=COUNTS)
    reduced = total.reduced(total.payload(0))
    assert reduced.counts[Count.OUT_OF_RANGE] == 0
    true_a = sum(gradients(micro, scale)[0].double() for micro in range(7)) / (7 * 3)
    assert torch.allclose(reduced.per_token()[0], true_a, rtol=0, atol=1e-7 * scale)


def test_the_first_real_gradient_overflows_the_unknown_grid_and_finds_its_own() -> None:
    total = GradientSum(TENSORS, Grid.unknown(2), num_micros=1)
    total.take(gradients(0), loss=1.0, counts=COUNTS)
    reduced = total.reduced(total.payload(0))
    assert reduced.counts[Count.OUT_OF_RANGE] > 0
    again = GradientSum(TENSORS, reduced.next_grid, num_micros=1)
    again.take(gradients(0), loss=1.0, counts=COUNTS)
    assert again.reduced(again.payload(0)).counts[Count.OUT_OF_RANGE] == 0


def test_a_gradient_far_larger_than_the_last_is_found_out() -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=7)
    total.take(gradients(0, scale=1e6), loss=1.0, counts=COUNTS)
    assert total.reduced(total.payload(0)).counts[Count.OUT_OF_RANGE] > 0


def test_a_tensor_without_gradient_keeps_its_exponent() -> None:
    total = GradientSum(TENSORS, Grid((7, 9)), num_micros=1)
    total.take([torch.zeros(3, 4), torch.zeros(5)], loss=0.0, counts=COUNTS)
    assert total.reduced(total.payload(0)).next_grid == Grid((7, 9))


@given(st.floats(min_value=2.0**-149, max_value=2.0**127, width=32))
def test_every_float32_falls_into_a_bucket_and_takes_37_to_40_bits(largest: float) -> None:
    bucket = bucket_of(largest)
    assert 0 <= bucket < NUM_BUCKETS
    histogram = torch.zeros(1, NUM_BUCKETS, dtype=torch.int64)
    histogram[0, bucket] = 1
    exponent = Grid((0,)).fit(histogram).exponents_T[0]
    bits = math.frexp(largest)[1] + exponent
    assert TARGET_BITS - 3 <= bits <= TARGET_BITS


@pytest.mark.parametrize("num_micros", [1, 100, 1024, 2**20])
def test_a_sum_of_all_micro_batches_stays_inside_int64(num_micros: int) -> None:
    assert num_micros * 2 ** limit_bits(num_micros) < 2**63


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_and_named(bad: float) -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=1)
    broken = gradients(0)
    broken[1][2] = bad
    assert not total.take(broken, loss=1.0, counts=COUNTS)
    total.blame(4, broken, ["left.jpg"])
    assert total.reduced(total.payload(0)).counts[Count.NON_FINITE] == 1
    error = total.culprits[0].error(step=9)
    assert isinstance(error, NonFiniteError)
    assert "step 9" in str(error)
    assert " b," in str(error)
    assert "left.jpg" in str(error)


def test_a_loss_that_is_not_finite_is_named_too() -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=1)
    assert not total.take(gradients(0), loss=math.nan, counts=COUNTS)
    total.blame(0, gradients(0), ["x"])
    assert "the loss" in str(total.culprits[0].error(1))


@given(st.lists(st.integers(0, 2**48 - 1), min_size=1, max_size=6))
def test_replicas_with_different_states_are_found_in_the_same_sum(prints: list[int]) -> None:
    grid = Grid((0, 0))
    shares = [GradientSum(TENSORS, grid, num_micros=1).payload(each) for each in prints]
    reduced = GradientSum(TENSORS, grid, num_micros=1).reduced(torch.stack(shares).sum(dim=0))
    assert reduced.has_drifted(len(prints)) == (len(set(prints)) > 1)


def means(*values: float) -> MeanGradients:
    """Gradients of one number each."""
    units = [torch.tensor([round(value * 4)]) for value in values]
    return MeanGradients(units, [torch.Size([1])] * len(values), [4.0] * len(values))


def test_clipping_scales_all_tensors_by_one_factor_and_returns_the_norm_before() -> None:
    pair = means(3.0, 4.0)
    assert clip(pair, max_norm=None) == 5.0
    assert [float(each) for each in pair] == [3.0, 4.0]
    assert clip(pair, max_norm=1.0) == 5.0
    assert [float(each) for each in pair] == pytest.approx([0.6, 0.8])


def test_a_short_gradient_is_not_stretched() -> None:
    pair = means(3.0, 4.0)
    assert clip(pair, max_norm=5.0) == 5.0
    assert [float(each) for each in pair[0:2]] == [3.0, 4.0]


def test_a_sum_that_no_reduction_finished_is_still_there() -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=1)
    total.mark(0)
    total.take(gradients(0), loss=1.0, counts=COUNTS)
    handed = total.payload(5)
    expected = handed.clone()
    handed.fill_(-1)
    assert total.has(0)
    assert torch.equal(total.payload(5), expected)


def test_a_sum_too_large_to_be_kept_twice_begins_empty_in_other_memory() -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=1, kept_bytes=0)

    def share() -> torch.Tensor:
        assert not total.has(0)
        total.mark(0)
        total.take(gradients(0), loss=1.0, counts=COUNTS)
        return total.payload(5)

    first = share()
    expected = first.clone()
    first.fill_(-1)
    again = share()
    # A reduction that failed may write to what it was given a while longer.
    first.fill_(-2)
    assert torch.equal(again, expected)
    assert set(total.reduced(again).times_K) == {1}


def test_culprits_of_a_share_that_was_given_away_are_found_anew() -> None:
    total = GradientSum(TENSORS, fitted_grid(), num_micros=1, kept_bytes=0)
    total.blame(0, gradients(0), ["x"])
    total.payload(0)
    assert not total.has(0)
    assert total.culprits == []
