"""Histograms: round edges that hold all values, and drawings that any browser reads."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.lint.charts import Chart, Values, bin_edges, figure

WHOLE = st.lists(st.integers(0, 10**9), min_size=1, max_size=50).map(np.array)
REAL = st.lists(st.floats(0, 1e12, allow_subnormal=False), min_size=1, max_size=50).map(
    np.array
)


@given(WHOLE | REAL)
def test_every_value_lies_in_a_bin_or_beyond_the_last_edge(values: Values) -> None:
    edges = bin_edges(values)
    assert len(edges) >= 2
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= values.min()
    assert len(edges) <= 28


@given(WHOLE)
def test_whole_numbers_get_bins_of_whole_numbers(values: Values) -> None:
    assert all(edge == round(edge) for edge in bin_edges(values))


@pytest.mark.parametrize(
    ("values", "first", "step"),
    [
        ([1, 2, 3, 4, 5, 6], 0, 1),
        ([0.3, 2.0, 12.0], 0.0, 0.5),
        ([1900, 2000, 2100], 1900, 10),
        ([7, 7, 7], 7, 1),
    ],
)
def test_edges_are_round(values: list[float], first: float, step: float) -> None:
    edges = bin_edges(np.array(values))
    assert edges[0] == first
    assert np.diff(edges) == pytest.approx(step)


def drawn(chart: Chart) -> ElementTree.Element:
    found = re.search(r"<svg.*</svg>", figure(chart))
    assert found
    return ElementTree.fromstring(found[0])


def test_bars_say_their_range_count_and_share() -> None:
    svg = drawn(Chart("Images", "images in a group", "sample", np.array([2, 2, 2, 3])))
    assert [title.text for title in svg.iter("title")] == [
        "2: 3 samples (75%)",
        "3: 1 sample (25%)",
    ]
    texts = [text.text for text in svg.iter("text")]
    assert "images in a group" in texts
    assert "80%" in texts


def test_what_is_far_out_has_a_bar_of_its_own_at_the_end() -> None:
    values = np.array([10.0] * 500 + [1e6])
    svg = drawn(Chart("Cost", "cost", "sample", values))
    assert [text.text for text in svg.iter("text")][-2] == "more"
    assert [title.text for title in svg.iter("title")][-1].endswith("and more: 1 sample (0.2%)")


def test_held_out_data_are_a_line_over_the_bars() -> None:
    values = np.array([2, 2, 2, 3])
    assert list(drawn(Chart("t", "a", "sample", values)).iter("path")) == []
    (line,) = drawn(Chart("t", "a", "sample", values, values)).iter("path")
    assert line.get("class") == "held"


def test_without_values_the_title_stands_alone() -> None:
    alone = figure(Chart("Size", "megapixels", "image", np.zeros(0)))
    assert "nothing to show" in alone
    assert "<svg" not in alone


@given(WHOLE | REAL)
def test_any_values_can_be_drawn(values: Values) -> None:
    svg = drawn(Chart("t", "a", "sample", values, values[:1]))
    for bar in svg.iter("rect"):
        assert 0 <= float(bar.get("y", "-1")) <= 190
        assert 0 <= float(bar.get("x", "-1")) <= 360
