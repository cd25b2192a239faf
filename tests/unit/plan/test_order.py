"""The order of an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.plan.order import Order, epoch_order, hash_integers, look_up


def whole_epoch(num_samples: int, seed: int = 0, epoch: int = 0) -> list[int]:
    positions = np.arange(num_samples, dtype=np.int64)
    order = epoch_order(positions, num_samples=num_samples, seed=seed, epoch=epoch)
    return [int(sample) for sample in order]


@given(num_samples=st.integers(1, 3000), seed=st.integers(-5, 2**63), epoch=st.integers(0, 99))
def test_every_sample_stands_once_in_every_epoch(
    num_samples: int, seed: int, epoch: int
) -> None:
    assert sorted(whole_epoch(num_samples, seed, epoch)) == list(range(num_samples))


@given(num_samples=st.integers(2, 10**12), data=st.data())
def test_a_position_asked_alone_gives_what_it_gives_among_others(
    num_samples: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.integers(0, num_samples - 1), min_size=1, max_size=8))
    together = epoch_order(np.array(wanted), num_samples=num_samples, seed=3, epoch=1)
    alone = [
        epoch_order(np.array([position]), num_samples=num_samples, seed=3, epoch=1)[0]
        for position in wanted
    ]
    assert together.tolist() == alone


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(whole_epoch(100, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_an_order_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert whole_epoch(10) == [1, 8, 6, 7, 0, 9, 3, 2, 4, 5]
    assert whole_epoch(10, epoch=1) == [3, 6, 1, 8, 9, 4, 0, 7, 5, 2]


def test_orders_looked_up_together_are_those_looked_up_alone() -> None:
    orders = [Order(10, 0, 0), Order(1000, 5, 2), Order(1, 3, 3)]
    which, positions = np.array([1, 0, 2, 1, 0]), np.array([999, 9, 0, 17, 3])
    alone = [
        epoch_order(
            np.array([position]),
            num_samples=orders[number].size,
            seed=orders[number].seed,
            epoch=orders[number].epoch,
        )[0]
        for number, position in zip(which, positions, strict=True)
    ]
    assert look_up(orders, which, positions).tolist() == alone


def test_neighbours_are_scattered() -> None:
    order = np.array(whole_epoch(10_000))
    distance = np.abs(np.diff(order)).mean()
    # Two uniform draws lie a third of the range apart on average.
    assert 3000 < distance < 3700


def test_every_place_is_about_as_likely_for_every_sample() -> None:
    first = [whole_epoch(8, seed)[0] for seed in range(4000)]
    counts = np.bincount(first, minlength=8)
    assert counts.min() > 400
    assert counts.max() < 600


@pytest.mark.parametrize("position", [-1, 10])
def test_a_position_outside_the_epoch_is_refused(position: int) -> None:
    with pytest.raises(PlanError):
        epoch_order(np.array([position]), num_samples=10, seed=0, epoch=0)


def test_a_hash_depends_on_the_order_and_the_number_of_its_integers() -> None:
    hashes = {
        hash_integers(1, 2),
        hash_integers(2, 1),
        hash_integers(1, 2, 0),
        hash_integers(1),
    }
    assert len(hashes) == 4
