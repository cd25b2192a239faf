"""Numbers and texts as people read them."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.lint.words import escaped, of, percent, short


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (of(1, "image"), "1 image"),
        (of(1200, "image"), "1,200 images"),
        (of(0, "micro-batch"), "0 micro-batches"),
        (percent(0), "0%"),
        (percent(0.0004), "under 0.1%"),
        (percent(0.0061), "0.6%"),
        (percent(0.099), "9.9%"),
        (percent(0.0999), "10%"),
        (percent(1), "100%"),
        (short(0), "0"),
        (short(0.25), "0.25"),
        (short(999), "999"),
        (short(2540), "2.54k"),
        (short(145_200), "145k"),
        (short(10_240_000), "10.2M"),
    ],
)
def test_numbers_are_short_and_exact_enough(said: str, wanted: str) -> None:
    assert said == wanted


@given(st.text(max_size=400))
def test_no_text_can_leave_its_place_in_a_page(text: str) -> None:
    shown = escaped(text, 60)
    assert not set(shown) & set("<>\"'\0\x1b")
    assert len(html.unescape(shown)) <= 63
    shown.encode()


def test_half_a_character_and_direction_marks_are_replaced() -> None:
    assert escaped("a\ud800b\u202ec") == "a?b\ufffdc"
    assert escaped("图片 café") == "图片 café"
