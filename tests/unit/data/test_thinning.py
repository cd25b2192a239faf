"""Too many images: which of them stay, and that their places stay with them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Text, Turn
from orchestrator.data.thinning import Select, evenly_spaced, most_different, thin

MARK = "<image>"


def talk_of(*turns: tuple[Part, ...]) -> Conversation:
    """User and assistant in turn."""
    roles = ("user", "assistant")
    return Conversation("1", tuple(Turn(roles[n % 2], p) for n, p in enumerate(turns)))


def images(count: int) -> tuple[MediaRef, ...]:
    return tuple(MediaRef(f"{number}.jpg") for number in range(count))


def marked(conversation: Conversation) -> str:
    """The whole text with a mark where each image stands."""
    return "|".join(
        "".join(part.text if isinstance(part, Text) else MARK for part in turn.parts)
        for turn in conversation.turns
    )


def by_number(ref: MediaRef) -> int:
    """Image n has the n lowest bits set: the farther apart, the more they differ."""
    return (1 << int(ref.uri.removesuffix(".jpg"))) - 1


def left(count: int, most: int, select: Select) -> list[int]:
    thinned = thin(talk_of(images(count), (Text("Same."),)), most, select, by_number)
    return [int(ref.uri.removesuffix(".jpg")) for ref in thinned.media]


@pytest.mark.parametrize(
    ("select", "count", "most", "kept"),
    [
        ("first", 7, 3, [0, 1, 2]),
        ("even", 7, 3, [0, 3, 6]),
        ("even", 6, 4, [0, 2, 3, 5]),
        ("even", 5, 1, [0]),
        ("even", 5, 2, [0, 4]),
        ("diverse", 7, 2, [0, 6]),
        ("diverse", 7, 3, [0, 3, 6]),
        ("diverse", 5, 1, [0]),
    ],
)
def test_the_images_that_were_asked_for_stay(
    select: Select, count: int, most: int, kept: list[int]
) -> None:
    assert left(count, most, select) == kept


def test_a_group_with_too_many_is_refused_where_the_job_says_so() -> None:
    with pytest.raises(BadSampleError) as caught:
        thin(talk_of(images(9), (Text("Same."),)), 8, "refuse")
    assert caught.value.reason == "9 images, at most 8 allowed"
    assert caught.value.remedy.startswith("Raise images.max_images, set images.select")


@pytest.mark.parametrize("select", ["refuse", "even", "first", "diverse"])
def test_a_group_with_no_more_than_allowed_is_not_even_looked_at(select: Select) -> None:
    talk = talk_of((*images(3), Text("Same?")), (Text("Yes."),))
    # Without a look: asking for one would fail.
    assert thin(talk, 3, select) is talk


def test_the_place_in_the_text_goes_with_its_image() -> None:
    a, b, c = images(3)
    talk = talk_of((Text("One "), a, Text(" two "), b, Text(" three "), c), (Text("No."),))
    thinned = thin(talk, 2, "even")
    assert marked(thinned) == "One <image> two  three <image>|No."
    assert thinned.media == (a, c)


def test_a_turn_left_with_nothing_goes_and_other_kinds_stay() -> None:
    a, b = images(2)
    film = MediaRef("film.mp4", kind="video")
    talk = talk_of((a, film, Text("?")), (Text("Yes."),), (b,), (Text("No."),))
    thinned = thin(talk, 1, "first")
    assert [turn.parts for turn in thinned.turns] == [
        (a, film, Text("?")), (Text("Yes."),), (Text("No."),),
    ]  # fmt: skip


def test_what_differs_most_stays_and_the_earlier_of_equals() -> None:
    assert most_different([0b0000, 0b0001, 0b1111, 0b1110, 0b1111], 2) == [0, 2]
    assert most_different([0b0000, 0b0001, 0b1111, 0b1110, 0b1111], 4) == [0, 1, 2, 3]
    # One picture many times over: still as many as were asked for, none of them twice.
    assert most_different([5, 5, 5, 5], 3) == [0, 1, 2]


PARTS = st.lists(
    st.one_of(
        st.builds(Text, st.sampled_from(["a ", "{b}", MARK, "\n"])),
        st.builds(MediaRef, st.integers(0, 64).map("{}.jpg".format)),
        st.builds(MediaRef, st.just("film.mp4"), st.just("video")),
    ),
    min_size=1,
    max_size=9,
).map(tuple)
TALKS = st.lists(PARTS, min_size=1, max_size=4).map(lambda turns: talk_of(*turns))
SELECTS = st.sampled_from(["even", "first", "diverse"])


def pictures(conversation: Conversation) -> list[MediaRef]:
    return [ref for ref in conversation.media if ref.kind == "image"]


def without_images(conversation: Conversation) -> list[Part]:
    gone = pictures(conversation)
    return [part for part in conversation.parts() if part not in gone]


@given(TALKS, st.integers(1, 12), SELECTS)
def test_images_and_places_always_agree_and_all_else_stays_word_for_word(
    talk: Conversation, most: int, select: Select
) -> None:
    thinned = thin(talk, most, select, by_number)
    kept = pictures(thinned)
    assert len(kept) == min(len(pictures(talk)), most)
    # In order, none invented: each is found behind the one before it.
    before = iter(pictures(talk))
    assert all(image in before for image in kept)
    assert without_images(thinned) == without_images(talk)
    assert all(turn.parts for turn in thinned.turns)
    assert thin(thinned, most, select, by_number) == thinned


@given(TALKS, st.integers(1, 12))
def test_refusing_never_changes_a_sample(talk: Conversation, most: int) -> None:
    if len(pictures(talk)) <= most:
        assert thin(talk, most, "refuse") == talk
        return
    with pytest.raises(BadSampleError):
        thin(talk, most, "refuse")


@given(st.integers(1, 60), st.integers(0, 60))
def test_even_steps_begin_first_end_last_and_differ_by_one_at_most(
    wanted: int, more: int
) -> None:
    count = wanted + more
    places = evenly_spaced(count, wanted)
    assert places[0] == 0
    assert len(places) == wanted
    assert wanted == 1 or places[-1] == count - 1
    steps = {after - before for before, after in pairwise(places)}
    assert not steps or max(steps) - min(steps) <= 1
    assert not steps or min(steps) >= 1


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.data())
def test_what_is_chosen_is_as_far_apart_as_all_others_are_near(
    looks: list[int], data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, len(looks)))
    places = most_different(looks, wanted)
    assert places == sorted(set(places))
    assert len(places) == wanted
    assert places[0] == 0
    chosen = [looks[place] for place in places]
    apart = [(one ^ other).bit_count() for n, one in enumerate(chosen) for other in chosen[:n]]
    cover = [min((value ^ one).bit_count() for one in chosen) for value in looks]
    assert not apart or max(cover) <= min(apart)
