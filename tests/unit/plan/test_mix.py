"""Data sets mixed with weights."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.plan.mix import Mix, Share

shares = st.builds(Share, st.integers(0, 40), st.floats(0.01, 5))
mixes = st.builds(Mix, st.lists(shares, min_size=1, max_size=5).map(tuple))
seeds = st.none() | st.integers(-5, 2**63)


def whole_epoch(mix: Mix, epoch: int, seed: int | None = 0) -> list[int]:
    slots = np.arange(mix.num_slots, dtype=np.int64)
    found: list[int] = mix.samples_of(slots, seed=seed, epoch=epoch).tolist()
    return found


def uses_by_share(mix: Mix, used: Counter[int]) -> list[list[int]]:
    """How often each sample was used, data set by data set."""
    counts = iter([used[sample] for sample in range(mix.num_samples)])
    return [[next(counts) for _ in range(share.num_samples)] for share in mix.shares]


@given(mixes, st.integers(0, 999), seeds)
def test_in_any_epoch_samples_of_a_data_set_are_used_equally_often_or_once_more(
    mix: Mix, epoch: int, seed: int | None
) -> None:
    used = Counter(whole_epoch(mix, epoch, seed))
    for share, uses in zip(mix.shares, uses_by_share(mix, used), strict=True):
        assert sum(uses) == share.num_slots
        if uses:
            assert min(uses) >= share.num_slots // share.num_samples
            assert max(uses) <= math.ceil(share.num_slots / share.num_samples)


@given(mixes, st.integers(1, 12), seeds)
def test_after_any_number_of_epochs_no_sample_was_used_twice_oftener_than_another(
    mix: Mix, epochs: int, seed: int | None
) -> None:
    used = Counter(s for epoch in range(epochs) for s in whole_epoch(mix, epoch, seed))
    for share, uses in zip(mix.shares, uses_by_share(mix, used), strict=True):
        assert sum(uses) == epochs * share.num_slots
        assert not uses or max(uses) - min(uses) <= 1


@given(st.integers(1, 60), st.integers(1, 60), seeds)
def test_once_round_every_sample_was_used_equally_often(
    num_samples: int, num_slots: int, seed: int | None
) -> None:
    mix = Mix((Share(num_samples, num_slots / num_samples),))
    epochs = num_samples // math.gcd(num_samples, num_slots)
    used = Counter(s for epoch in range(epochs) for s in whole_epoch(mix, epoch, seed))
    assert used == dict.fromkeys(range(num_samples), epochs * num_slots // num_samples)


@given(mixes.filter(lambda mix: mix.num_slots > 0), st.integers(0, 99), st.data())
def test_a_slot_asked_alone_gives_what_it_gives_among_others(
    mix: Mix, epoch: int, data: st.DataObject
) -> None:
    together = whole_epoch(mix, epoch)
    slot = data.draw(st.integers(0, mix.num_slots - 1))
    alone = mix.samples_of(np.array([slot]), seed=0, epoch=epoch)
    assert alone.tolist() == [together[slot]]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 4))
def test_a_whole_weight_uses_each_sample_so_many_times_in_every_epoch(
    sizes: list[int], weight: int
) -> None:
    mix = Mix(tuple(Share(size, weight) for size in sizes))
    used = Counter(whole_epoch(mix, epoch=3))
    assert used == dict.fromkeys(range(sum(sizes)), weight)


def test_of_weight_a_half_each_two_epochs_use_random_halves() -> None:
    mix = Mix((Share(100, 0.5),))
    halves = [set(whole_epoch(mix, epoch)) for epoch in range(6)]
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert first | second == set(range(100))
    assert len(set(map(frozenset, halves))) == 6
    # Half of a half of a hundred, give or take four standard deviations.
    assert all(15 < len(half & set(range(50))) < 35 for half in halves)


def test_data_sets_of_one_size_have_halves_of_their_own() -> None:
    used = whole_epoch(Mix((Share(100, 0.5), Share(100, 0.5))), epoch=0)
    assert set(used[:50]) != {sample - 100 for sample in used[50:]}


def test_seeds_have_halves_of_their_own() -> None:
    mix = Mix((Share(100, 0.5),))
    assert set(whole_epoch(mix, epoch=0, seed=1)) != set(whole_epoch(mix, epoch=0, seed=2))


def test_without_a_seed_samples_come_in_the_order_of_the_index() -> None:
    mix = Mix((Share(3, 2), Share(4, 0.5), Share(1)))
    assert whole_epoch(mix, epoch=0, seed=None) == [0, 1, 2, 0, 1, 2, 3, 4, 7]
    assert whole_epoch(mix, epoch=1, seed=None) == [0, 1, 2, 0, 1, 2, 5, 6, 7]


def test_a_mixture_comes_out_the_same_on_every_machine_and_in_every_version() -> None:
    mix = Mix((Share(6, 0.5), Share(4, 1.5), Share(2, 2)))
    assert [whole_epoch(mix, epoch, seed=7) for epoch in range(2)] == [
        [3, 0, 1, 6, 7, 8, 9, 7, 8, 10, 11, 10, 11],
        [2, 4, 5, 6, 7, 8, 9, 6, 9, 10, 11, 10, 11],
    ]


@pytest.mark.parametrize(
    ("share", "num_slots"),
    [(Share(10, 0.01), 1), (Share(0, 3), 0), (Share(3), 3), (Share(10, 1.26), 13)],
)
def test_a_data_set_fills_slots_by_its_weight_and_at_least_one_if_it_has_a_sample(
    share: Share, num_slots: int
) -> None:
    assert share.num_slots == num_slots


@given(st.integers(10**11, 10**12), st.floats(0.01, 5), st.integers(0, 10**9), st.data())
def test_no_size_and_no_epoch_is_too_large(
    num_samples: int, weight: float, epoch: int, data: st.DataObject
) -> None:
    mix = Mix((Share(5), Share(num_samples, weight)))
    slot = data.draw(st.integers(5, mix.num_slots - 1))
    [sample] = mix.samples_of(np.array([slot]), seed=0, epoch=epoch).tolist()
    assert 5 <= sample < mix.num_samples


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_a_weight_that_says_no_number_of_slots_is_refused(weight: float) -> None:
    with pytest.raises(PlanError, match="weight"):
        Share(10, weight)
