"""Hashes of whole columns: equal for equal content, whatever the column around it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.lint.hashing import hash_strings, mix, sums

TEXTS = st.lists(st.text(max_size=12) | st.none(), max_size=20)


@given(TEXTS)
def test_texts_have_the_same_hash_exactly_if_they_are_the_same(
    texts: list[str | None],
) -> None:
    hashes_N = hash_strings(pa.array(texts, pa.string()))
    same = [text or "" for text in texts]
    assert len(np.unique(hashes_N)) == len(set(same))
    assert [hash_strings(pa.array([text]))[0] for text in same] == hashes_N.tolist()


@given(TEXTS, st.integers(0, 20), st.integers(0, 20))
def test_a_slice_of_a_column_hashes_like_its_texts(
    texts: list[str | None], first: int, last: int
) -> None:
    column = pa.array(texts, pa.string())
    whole_N, part_N = hash_strings(column), hash_strings(column[first:last])
    np.testing.assert_array_equal(part_N, whole_N[first:last])


@pytest.mark.parametrize(("one", "other"), [("a", "a\0"), ("ab", "ba"), ("", "\0")])
def test_texts_that_nearly_agree_differ(one: str, other: str) -> None:
    first, second = hash_strings(pa.array([one, other]))
    assert first != second


def test_sums_of_lists_know_no_order_and_leave_empty_lists_at_zero() -> None:
    one, two, three = mix(np.array([1, 2, 3]))
    sums_N = sums(np.array([one, two, two, one, three]), np.array([2, 0, 2, 1]))
    assert sums_N[0] == sums_N[2]
    assert sums_N[1] == 0
    assert sums_N[3] == three


def test_numbers_below_zero_have_hashes_too() -> None:
    assert len(np.unique(mix(np.arange(-500, 500)))) == 1000
