"""What belongs together, by names, times and looks."""

from datetime import datetime, timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.grouping.rules import (
    NAME_PATTERN,
    Group,
    bounded,
    by_folder,
    by_look,
    by_name,
    by_time,
    checked_pattern,
    natural_key,
)
from orchestrator.errors import ConfigError

NOON = datetime(2024, 5, 1, 12)


def groups_of(groups: list[Group]) -> dict[str, tuple[str, ...]]:
    return {group.id: group.names for group in groups}


def by_key(names: list[str], pattern: str = NAME_PATTERN) -> dict[str, tuple[str, ...]]:
    return groups_of(by_name(names, checked_pattern(pattern), across_folders=False)[0])


@pytest.mark.parametrize(
    "ordered",
    [
        ["img2.jpg", "img10.jpg", "img10a.jpg"],
        ["A.jpg", "a.jpg", "b.jpg"],
        ["b/2/a.jpg", "b/10/a.jpg", "b.jpg", "c/1.jpg"],
        ["1.jpg", "02.jpg", "3.jpg"],
        ["20240501_120000.jpg", "20240501_120001.jpg"],
        ["图2.jpg", "图10.jpg"],
    ],
)
def test_numbers_in_names_are_sorted_as_numbers(ordered: list[str]) -> None:
    assert sorted({*ordered}, key=natural_key) == ordered


@given(st.lists(st.text(st.sampled_from("aB1²٣0/._"), min_size=1), unique=True))
def test_any_names_have_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted({*names}, key=natural_key)


def test_a_folder_is_a_group_and_the_top_one_has_a_name_too() -> None:
    found = by_folder(["a.jpg", "photos/b.jpg", "photos/c.jpg", "photos/x/d.jpg"], "photos")
    assert groups_of(found) == {
        "photos": ("a.jpg",),
        "photos/photos": ("photos/b.jpg", "photos/c.jpg"),
        "photos/photos/x": ("photos/x/d.jpg",),
    }


def test_the_key_of_a_name_is_what_stands_before_its_number() -> None:
    assert by_key([
        "shoe.jpg", "shoe_1.jpg", "shoe-2.png", "shoe 3.jpg", "shoe (4).jpg", "room-2-1.jpg",
        "cam1.jpg", "sub/shoe_1.jpg",
    ]) == {
        "shoe": ("shoe.jpg", "shoe_1.jpg", "shoe-2.png", "shoe 3.jpg", "shoe (4).jpg"),
        "room-2": ("room-2-1.jpg",),
        "cam1": ("cam1.jpg",),
        "sub/shoe": ("sub/shoe_1.jpg",),
    }  # fmt: skip


def test_a_pattern_of_ones_own_finds_the_key_anywhere_in_the_name() -> None:
    names = ["left_07.jpg", "right_07.jpg", "b/left_08.jpg", "c/right_08.jpg", "map.jpg"]
    pattern = checked_pattern(r"_(\d+)")
    groups, left_out = by_name(names, pattern, across_folders=True)
    assert groups_of(groups) == {"07": tuple(names[:2]), "08": tuple(names[2:4])}
    assert [one.name for one in left_out] == ["map.jpg"]
    assert "finds no key" in left_out[0].reason


@pytest.mark.parametrize(
    ("pattern", "problem"), [("(", "no regular"), ("a", "0 groups"), ("(a)(b)", "2 groups")]
)
def test_a_pattern_that_gives_no_key_is_refused(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_pattern(pattern)
    assert problem in caught.value.problem


def at(**seconds: float) -> dict[str, datetime]:
    """Times of pictures: ``a_b`` is ``a/b``."""
    return {
        name.replace("_", "/"): NOON + timedelta(seconds=second)
        for name, second in seconds.items()
    }


def test_a_pause_begins_a_new_group() -> None:
    times = at(late=200, a=0, b=60, c=60, d=121)
    assert groups_of(by_time(times, 60, across_folders=False)) == {
        "a": ("a", "b", "c"),
        "d": ("d",),
        "late": ("late",),
    }
    assert len(by_time(times, 0, across_folders=False)) == 4


def test_folders_are_apart_unless_groups_may_span_them() -> None:
    times = at(x_a=0, y_b=1, x_c=2)
    assert [g.names for g in by_time(times, 5, across_folders=False)] == [
        ("x/a", "x/c"), ("y/b",),
    ]  # fmt: skip
    assert [g.names for g in by_time(times, 5, across_folders=True)] == [("x/a", "y/b", "x/c")]


def test_what_is_alike_comes_together_even_over_others() -> None:
    hashes = {"a": 0b0000, "b": 0b1111_0000, "c": 0b0001, "d": 0b0111}
    near = by_look(hashes, 2, across_folders=False)
    # d is three bits from a and two from c.
    assert [group.names for group in near] == [("a", "c", "d"), ("b",)]
    assert [group.id for group in near] == ["a", "b"]


def test_large_groups_are_cut_evenly_and_small_ones_listed() -> None:
    groups = [Group("many", tuple("abcdefg")), Group("one", ("x",)), Group("two", ("y", "z"))]
    kept, left_out = bounded(groups, 2, 3)
    assert groups_of(kept) == {
        "many#1": ("a", "b"),
        "many#2": ("c", "d"),
        "many#3": ("e", "f", "g"),
        "two": ("y", "z"),
    }
    assert [(one.name, one.reason) for one in left_out] == [
        ("x", "in a group of 1, at least 2 are wanted")
    ]


@given(st.lists(st.integers(1, 40), max_size=6), st.integers(1, 6), st.integers(0, 6))
def test_every_image_is_in_one_group_or_listed(
    sizes: list[int], min_size: int, more: int
) -> None:
    groups = [Group(f"g{n}", tuple(f"{n}-{i}" for i in range(s))) for n, s in enumerate(sizes)]
    kept, left_out = bounded(groups, min_size, min_size + more)
    names = [*chain.from_iterable(g.names for g in kept), *(one.name for one in left_out)]
    assert sorted(names) == sorted(chain.from_iterable(g.names for g in groups))
    assert all(len(group.names) <= min_size + more for group in kept)
    for group in groups:
        cut = [len(k.names) for k in kept if k.id.split("#")[0] == group.id]
        assert not cut or max(cut) - min(cut) <= 1
        assert bool(cut) == (len(group.names) >= min_size)
