"""The same done to many."""

import pytest

from orchestrator.data.grouping.spreading import spread


@pytest.mark.parametrize("count", [0, 3, 401])
def test_results_come_in_order_and_progress_with_each(count: int) -> None:
    steps: list[tuple[int, int, str]] = []
    items = [-number for number in range(count)]
    assert spread(abs, items, "images", lambda *step: steps.append(step)) == list(range(count))
    assert steps == [(done, count, "images") for done in range(1, count + 1)]
