"""Hashes of a replica's state."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.train.fingerprint import cut, fingerprint
from orchestrator.train.pieces import PIECE

EXPECTED = 77112305811537


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_it_has_48_bits_and_is_the_same_on_every_machine() -> None:
    numbers = [torch.arange(PIECE + 5, dtype=torch.float32), torch.tensor(1.5)]
    assert fingerprint(cut(numbers), "step 1") == EXPECTED
    assert EXPECTED < 1 << 48


def test_what_is_no_tensor_counts() -> None:
    assert fingerprint(cut([drawn(0, 3)]), "step 1") != fingerprint(
        cut([drawn(0, 3)]), "step 2"
    )


@pytest.mark.parametrize("shape", [(), (1,), (4, 3), (PIECE,), (PIECE + 1,)])
def test_two_tensors_that_change_places_are_noticed(shape: tuple[int, ...]) -> None:
    one, other = drawn(1, *shape), drawn(2, *shape)
    assert fingerprint(cut([one, other]), "") != fingerprint(cut([other, one]), "")


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (5, PIECE + 5), (0, 2 * PIECE)])
def test_two_signs_that_flip_are_noticed(places: tuple[int, int]) -> None:
    tensor = torch.zeros(2 * PIECE + 3)
    before = fingerprint(cut([tensor]), "")
    for place in places:
        tensor[place] = -0.0
    assert fingerprint(cut([tensor]), "") != before


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 31))
def test_any_bit_of_any_word_counts(seed: int, place: int, bit: int) -> None:
    tensor = drawn(seed, 100)
    before = fingerprint(cut([tensor]), "")
    tensor.view(torch.int32)[place] ^= torch.tensor(1 << bit, dtype=torch.int64).to(torch.int32)
    assert fingerprint(cut([tensor]), "") != before


@pytest.mark.parametrize("at", [1, 17, PIECE - 1, PIECE, PIECE + 9])
def test_it_is_of_the_numbers_and_not_of_how_they_are_stored(at: int) -> None:
    whole = drawn(3, 2 * PIECE + 100)
    expected = fingerprint(cut([whole]), "")
    assert fingerprint(cut([whole[:at], torch.zeros(0), whole[at:]]), "") == expected
    spaced = torch.stack([whole, whole], dim=1)[:, 0]
    assert not spaced.is_contiguous()
    assert fingerprint(cut([spaced]), "") == expected


def test_nothing_at_all_has_a_fingerprint() -> None:
    assert fingerprint(cut([]), "x") != fingerprint(cut([]), "y")
