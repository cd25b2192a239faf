"""What holds of exact sums for any gradients of any tensors, dealt in any way.

Letters: K micro-batches, T tensors.
"""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from orchestrator.train.exact import Count, GradientSum, ReducedSum, clip
from orchestrator.train.grid import Grid
from orchestrator.train.units import LOSS_EXPONENT, limit_bits
from tests.unit.train.devices import on_every_device
from tests.unit.train.plain import clip_plainly, mean_of

SHAPES = {
    "bfloat": ((2, 3), torch.bfloat16),
    "bias": ((), torch.float32),
    "double": ((5,), torch.float64),
    "empty": ((0, 4), torch.float32),
    "half": ((3,), torch.float16),
    "lora": ((7, 5), torch.float32),
    "one": ((1,), torch.float32),
    "turned": ((4, 6), torch.float32),
}
SPREAD = st.lists(st.integers(-38, 30), min_size=len(SHAPES), max_size=len(SHAPES))
"""Powers of ten, one a tensor."""
TOKENS = 3
COUNTS = {Count.LABEL_TOKENS: TOKENS, Count.SAMPLES: 1}

Micros = list[list[Tensor]]


def make_micros(spread: list[int], seed: int, num_micros: int, device: str) -> Micros:
    """Gradients [K][T]; some entries are zero, and one tensor is not contiguous."""
    generator = torch.Generator().manual_seed(seed)
    micros = []
    for _ in range(num_micros):
        tensors = []
        for (shape, dtype), power in zip(SHAPES.values(), spread, strict=True):
            normal = torch.randn(shape, generator=generator, dtype=torch.float64)
            held = torch.rand(shape, generator=generator) < 0.9
            # Of float16's range, whatever is asked for.
            scale = 10.0 ** (power if dtype is not torch.float16 else max(-7, min(3, power)))
            tensors.append((normal * scale * held).to(device=device, dtype=dtype))
        tensors[-1] = tensors[-1].reshape(6, 4).t()
        micros.append(tensors)
    return micros


def new_sum(micros: Micros, grid: Grid) -> GradientSum:
    return GradientSum(dict(zip(SHAPES, micros[0], strict=True)), grid, num_micros=len(micros))


def reduce(micros: Micros, grid: Grid, dealt: list[int] | None = None) -> Tensor:
    """What adding up gives; ``dealt`` names each micro-batch's rank."""
    shares: dict[int, GradientSum] = {}
    for micro, rank in enumerate(dealt or [0] * len(micros)):
        share = shares.setdefault(rank, new_sum(micros, grid))
        share.mark(micro)
        assert share.take(micros[micro], loss=micro / 7, counts=COUNTS)
    return torch.stack([share.payload(0) for share in shares.values()]).sum(dim=0)


def read(micros: Micros, grid: Grid) -> ReducedSum:
    return new_sum(micros, grid).reduced(reduce(micros, grid))


def fit(micros: Micros) -> Grid:
    return read(micros, Grid.unknown(len(SHAPES))).next_grid


@on_every_device
@settings(max_examples=40)
@given(SPREAD, st.integers(0, 99), st.permutations(range(6)), st.lists(st.integers(0, 4)))
def test_any_order_and_any_split_over_ranks_gives_the_same_bits(
    device: str, spread: list[int], seed: int, order: list[int], dealt: list[int]
) -> None:
    micros = make_micros(spread, seed, len(order), device)
    grid = fit(micros)
    expected = reduce(micros, grid)
    ranks = (dealt + [0] * len(order))[: len(order)]
    shares = {rank: new_sum(micros, grid) for rank in range(5)}
    for micro in order:
        shares[ranks[micro]].mark(micro)
        shares[ranks[micro]].take(micros[micro], loss=micro / 7, counts=COUNTS)
    found = torch.stack([share.payload(0) for share in shares.values()]).sum(dim=0)
    assert torch.equal(found, expected)


@on_every_device
@settings(max_examples=40)
@given(SPREAD, st.integers(0, 99), st.sampled_from([None, 1e-3, 1e20]))
def test_the_mean_and_the_norm_are_those_of_the_plainest_way(
    device: str, spread: list[int], seed: int, max_norm: float | None
) -> None:
    micros = make_micros(spread, seed, 4, device)
    grid = fit(micros)
    reduced = read(micros, grid)
    assert reduced.counts[Count.OUT_OF_RANGE] == 0
    # A norm's last bits are the device's.
    plain = [each.to(device) for each in mean_of(micros, grid, 4 * TOKENS)]
    mean = reduced.per_token()
    assert all(torch.equal(a, b) for a, b in zip(mean, plain, strict=True))
    assert clip(mean, max_norm) == clip_plainly(plain, max_norm)
    for number, expected in enumerate(plain):
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            assert torch.equal(mean.cast(number, dtype), expected.to(dtype))


@on_every_device
@settings(max_examples=40)
@given(
    SPREAD,
    st.integers(0, 99),
    st.lists(st.integers(-60, 200), min_size=len(SHAPES), max_size=len(SHAPES)),
)
def test_a_grid_too_fine_is_found_out_and_redone_as_if_begun_on_the_coarser_one(
    device: str, spread: list[int], seed: int, exponents: list[int]
) -> None:
    micros = make_micros(spread, seed, 3, device)
    first = read(micros, Grid(tuple(exponents)))
    units = [
        (gradient.double().abs() * 2.0**exponent).round().max().item()
        for micro in micros
        for gradient, exponent in zip(micro, exponents, strict=True)
        if gradient.numel()
    ]
    is_outside = max(units) > 2 ** limit_bits(3)
    assert (first.counts[Count.OUT_OF_RANGE] > 0) == is_outside
    # What is found does not depend on where the search began, but for what is all zero.
    nonzero = [any(bool(micro[n].any()) for micro in micros) for n in range(len(SHAPES))]
    again = fit(micros)
    for number, exponent in enumerate(first.next_grid.exponents_T):
        expected = again.exponents_T[number] if nonzero[number] else exponents[number]
        assert exponent == expected
    assert read(micros, first.next_grid).counts[Count.OUT_OF_RANGE] == 0


@pytest.mark.parametrize("too_much", [0, 1])
def test_the_largest_count_that_fits_is_taken_and_one_more_is_not(too_much: int) -> None:
    tensors = {"a": torch.zeros(1, dtype=torch.float64)}
    count = 2.0 ** limit_bits(1) + too_much
    total = GradientSum(tensors, Grid((0,)), num_micros=1)
    assert total.take([torch.full((1,), count, dtype=torch.float64)], 0.0, COUNTS)
    reduced = total.reduced(total.payload(0))
    assert reduced.counts[Count.OUT_OF_RANGE] == too_much


@on_every_device
@pytest.mark.parametrize("micro", [0, 3])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"empty"}))
def test_what_is_not_finite_never_turns_into_something_valid(
    device: str, name: str, bad: float, micro: int
) -> None:
    micros = make_micros([0] * len(SHAPES), 1, 4, device)
    grid = fit(micros)
    number = list(SHAPES).index(name)
    without = [tensors for place, tensors in enumerate(micros) if place != micro]
    broken = list(micros[micro])
    flat = broken[number].reshape(-1).clone()
    # Of float32 and narrower ones, 1e300 is infinity.
    flat[-1] = torch.tensor(bad, dtype=torch.float64).to(flat.dtype)
    broken[number] = flat.reshape(broken[number].shape)
    shares = [new_sum(micros, grid) for _ in range(2)]
    for tensors in without:
        assert shares[0].take(tensors, loss=1.0, counts=COUNTS)
    assert not shares[1].take(broken, loss=1.0, counts=COUNTS)
    shares[1].blame(micro, broken, ["left.jpg"])
    assert shares[1].culprits[0].tensors == (name,)
    reduced = shares[0].reduced(shares[0].payload(0) + shares[1].payload(0))
    assert reduced.counts[Count.NON_FINITE] == 1
    plain = mean_of(without, grid, 3 * TOKENS)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(reduced.per_token(), plain, strict=True))


@on_every_device
@pytest.mark.parametrize("exponent", [0, 40, 200])
@pytest.mark.parametrize("name", ["bfloat", "double", "lora", "one", "turned"])
def test_1e30_is_out_of_range_on_any_grid_of_ordinary_gradients(
    device: str, name: str, exponent: int
) -> None:
    micros = make_micros([0] * len(SHAPES), 2, 1, device)
    micros[0][list(SHAPES).index(name)] *= 1e30
    reduced = read(micros, Grid((exponent,) * len(SHAPES)))
    assert reduced.counts[Count.OUT_OF_RANGE] > 0


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 1e30, -1e30, 1e12])
def test_a_loss_that_int64_could_not_sum_is_as_good_as_none(loss: float) -> None:
    micros = make_micros([0] * len(SHAPES), 3, 1, "cpu")
    total = new_sum(micros, fit(micros))
    assert not total.take(micros[0], loss=loss, counts=COUNTS)
    total.blame(0, micros[0], ["left.jpg"])
    assert total.culprits[0].tensors == ("the loss",)
    assert total.reduced(total.payload(0)).counts[Count.NON_FINITE] == 1


@given(st.lists(st.floats(-1e8, 1e8, width=32), min_size=1, max_size=9))
def test_losses_add_up_exactly_to_the_last_unit(losses: list[float]) -> None:
    tensors = {"a": torch.zeros(1)}
    total = GradientSum(tensors, Grid((0,)), num_micros=len(losses))
    for loss in losses:
        assert total.take([torch.zeros(1)], loss, {Count.LABEL_TOKENS: 1})
    units = sum(round(Fraction(loss) * 2**LOSS_EXPONENT) for loss in losses)
    reduced = total.reduced(total.payload(0))
    assert reduced.counts[Count.LOSS] == units
    assert reduced.loss == units / 2**LOSS_EXPONENT / len(losses)


@on_every_device
def test_no_gradient_is_a_gradient_of_zero(device: str) -> None:
    micros = make_micros([0] * len(SHAPES), 4, 1, device)
    micros[0][2] = torch.zeros_like(micros[0][2])
    absent: list[Tensor | None] = list(micros[0])
    absent[2] = None
    sums = [new_sum(micros, fit(micros)) for _ in range(2)]
    assert sums[0].take(micros[0], 1.0, COUNTS)
    assert sums[1].take(absent, 1.0, COUNTS)
    assert torch.equal(sums[0].payload(0), sums[1].payload(0))


@on_every_device
def test_all_gradients_may_be_absent(device: str) -> None:
    micros = make_micros([0] * len(SHAPES), 4, 1, device)
    total = new_sum(micros, fit(micros))
    assert total.take([None] * len(SHAPES), 0.0, COUNTS)
    assert not any(bool(each.any()) for each in total.reduced(total.payload(0)).per_token())


@on_every_device
@settings(max_examples=25)
@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=5), st.integers(1, 5))
def test_a_replica_that_drifted_is_found_in_the_sum_it_takes_part_in(
    device: str, prints: list[int], num_alike: int
) -> None:
    seen = [prints[0]] * num_alike + prints[num_alike:]
    micros = make_micros([0] * len(SHAPES), 5, 1, device)
    shares = [new_sum(micros, fit(micros)).payload(each) for each in seen]
    reduced = new_sum(micros, fit(micros)).reduced(torch.stack(shares).sum(dim=0))
    assert reduced.has_drifted(len(seen)) == (len(set(seen)) > 1)
