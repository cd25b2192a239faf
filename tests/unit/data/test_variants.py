"""Evaluation without the pictures that matter."""

from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.placing import parse
from orchestrator.data.sources import Record
from orchestrator.data.variants import only_first, swap_images, vary, vary_records


def conversation(name: str, num_images: int) -> Conversation:
    refs = [MediaRef(f"{name}{number}") for number in range(num_images)]
    parts = [part for ref in refs for part in (ref, Text(f"<{name}>"))]
    answer = Turn("assistant", (Text("yes"),))
    return Conversation(name, (Turn("user", (*parts, Text("?"))), answer))


def uris(given: Conversation) -> list[str]:
    return [ref.uri for ref in given.media]


def test_only_the_first_image_is_kept_and_all_text() -> None:
    given = conversation("a", 3)
    kept = only_first(given)
    assert uris(kept) == ["a0"]
    assert [turn.text for turn in kept.turns] == [turn.text for turn in given.turns]


def test_a_turn_left_with_nothing_goes() -> None:
    given = conversation("a", 1)
    longer = Conversation("a", (*given.turns, Turn("user", (MediaRef("z"),)), given.turns[1]))
    assert only_first(longer).turns == (*given.turns, given.turns[1])


def test_images_are_swapped_among_those_with_as_many() -> None:
    given = [
        conversation(name, num) for name, num in zip("abcde", [2, 3, 2, 0, 2], strict=True)
    ]
    result = swap_images(given)
    assert [uris(one) for one in result.conversations] == [
        ["c0", "c1"], [], ["e0", "e1"], [], ["a0", "a1"],
    ]  # fmt: skip
    assert result.unmatched == ("b",)
    assert [one.turns[0].text for one in result.conversations] == [
        one.turns[0].text for one in given
    ]


def test_all_images_is_no_change() -> None:
    given = [conversation("a", 2)]
    assert vary(given, "all").conversations == tuple(given)


def test_rows_are_varied_in_their_places_and_bad_ones_left() -> None:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "yes"}]
    rows = [
        Record(1, {"id": "a", "images": ["a0", "a1"], "conversations": turns}),
        Record(2, None, "is not JSON"),
        Record(3, {"id": "b", "images": ["b0", "b1"], "messages": turns}),
    ]
    assert vary_records(rows, "all", max_images=4) == (rows, ())
    varied, unmatched = vary_records(iter(rows), "swapped", max_images=4)
    assert varied[1] == rows[1]
    assert uris(parse(varied[0], 4)) == ["b0", "b1"]
    assert uris(parse(varied[2], 4)) == ["a0", "a1"]
    assert unmatched == ()
