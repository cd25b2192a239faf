"""Evaluation without the pictures that matter."""

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.rows import SampleRow
from orchestrator.data.variants import only_first, partners, swap_media
from tests.unit.data.samples import sample_row


def conversation(name: str, num_images: int) -> Conversation:
    refs = [MediaRef(f"{name}{number}") for number in range(num_images)]
    parts = [part for ref in refs for part in (ref, Text(f"<{name}>"))]
    answer = Turn("assistant", (Text("yes"),))
    return Conversation(name, (Turn("user", (*parts, Text("?"))), answer))


def test_only_the_first_image_is_kept_and_all_text() -> None:
    given = conversation("a", 3)
    kept = only_first(given)
    assert [ref.uri for ref in kept.media] == ["a0"]
    assert [turn.text for turn in kept.turns] == [turn.text for turn in given.turns]


def test_a_turn_left_with_nothing_goes() -> None:
    given = conversation("a", 1)
    longer = Conversation("a", (*given.turns, Turn("user", (MediaRef("z"),)), given.turns[1]))
    assert only_first(longer).turns == (*given.turns, given.turns[1])


def test_partners_have_as_many_pictures() -> None:
    media = [(2, "a"), (3, "b"), (2, "c"), (0, ""), (2, "d")]
    assert partners(media) == {0: 2, 2: 4, 4: 0, 1: 1}


def test_nobody_gets_the_same_pictures_again() -> None:
    media = [(2, "a"), (2, "a"), (2, "b"), (2, "b")]
    assert partners(media) == {0: 2, 1: 2, 2: 0, 3: 0}
    assert partners([(2, "a"), (2, "a")]) == {0: 0, 1: 1}


def test_media_are_swapped_with_all_that_follows_from_them() -> None:
    rows = [sample_row(row, num_images=2) for row in (1, 2)]
    swapped = swap_media([rows[0], BadRow("f", 3, "x", "broken", "mend"), rows[1]], 1000)
    first, bad, second = swapped
    assert isinstance(first, SampleRow)
    assert isinstance(second, SampleRow)
    assert isinstance(bad, BadRow)
    assert (first.id, first.uris, first.urls) == (rows[0].id, rows[1].uris, rows[1].urls)
    assert (second.id, second.uris) == (rows[1].id, rows[0].uris)
    assert first.ids_L is rows[0].ids_L
    assert first.tokens == rows[0].text_tokens + rows[1].image_tokens


def test_who_finds_no_partner_or_no_room_is_set_aside() -> None:
    alone = swap_media([sample_row(1, num_images=1), sample_row(2, num_images=3)], 1000)
    assert [one.reason for one in alone if isinstance(one, BadRow)] == [
        "no other sample has 1 other pictures to exchange",
        "no other sample has 3 other pictures to exchange",
    ]
    crowded = swap_media([sample_row(row, num_images=2) for row in (1, 2)], 5)
    assert all(isinstance(one, BadRow) and "too long" in one.reason for one in crowded)
