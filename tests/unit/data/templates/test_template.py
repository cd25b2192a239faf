"""A conversation's first user turn, as a template puts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Part, Role, Text, Turn
from orchestrator.data.templates.reading import load_template, parse_template, shipped_templates
from orchestrator.data.templates.template import apply

A, B, C = (MediaRef(f"{name}.jpg") for name in "abc")
FILM = MediaRef("film.mp4", kind="video")
ANSWER = Turn("assistant", (Text("Yes."),))
SHORT = parse_template(
    "{num_images|image|images}\n{numbered_images}\n{instruction|Why?}", "short"
)
COLON = "\uff1a"
CHINESE = parse_template(
    f"each: 图{{number}}{COLON}<image>\n{{num_images}}张\n{{numbered_images}}\n{{instruction}}",
    "zh",
)


def talk_of(*turns: tuple[Role, tuple[Part, ...]]) -> Conversation:
    return Conversation("1", (*(Turn(role, parts) for role, parts in turns), ANSWER))


def ask(*parts: Part) -> Conversation:
    return talk_of(("user", parts))


def said(turn: Turn) -> str:
    return "".join(
        part.text if isinstance(part, Text) else f"[{part.uri[0]}]" for part in turn.parts
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((A, Text("Which?")), "1 image\nImage 1: [a]\nWhich?"),
        ((A, B, Text("\nWhich?\n")), "2 images\nImage 1: [a]\nImage 2: [b]\nWhich?"),
        ((Text("Which? "), A, Text("\n"), B), "2 images\nImage 1: [a]\nImage 2: [b]\nWhich?"),
        ((A, B), "2 images\nImage 1: [a]\nImage 2: [b]\nWhy?"),
        ((A, Text(" \n")), "1 image\nImage 1: [a]\nWhy?"),
        ((A, A, Text("Same?")), "2 images\nImage 1: [a]\nImage 2: [a]\nSame?"),
        ((A, FILM, Text("Same?")), "1 image\nImage 1: [a]\n[f]Same?"),
        ((FILM, A), "1 image\nImage 1: [a]\n[f]Why?"),
    ],
)
def test_images_get_numbered_lines_and_the_question_its_place(
    parts: tuple[Part, ...], expected: str
) -> None:
    assert said(apply(SHORT, ask(*parts)).turns[0]) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((Text("Is"), A, Text(" like "), B, Text("?")), "Is Image 1 like Image 2?"),
        ((A, Text(" is first, "), B, Text("second")), "Image 1 is first, Image 2 second"),
        ((A, Text("which of"), B, C), "Image 1 which of Image 2 Image 3"),
        ((Text("one"), A, Text("{two}")), "one Image 1{two}"),
    ],
)
def test_images_between_words_are_named_there(parts: tuple[Part, ...], expected: str) -> None:
    assert said(apply(SHORT, ask(*parts)).turns[0]).endswith(f"\n{expected}")


def test_chinese_words_need_no_blanks_between_them() -> None:
    asked = ask(Text("先看"), A, Text("再看"), B, Text("好"))
    lines = f"2张\n图1{COLON}[a]\n图2{COLON}[b]\n"
    assert said(apply(CHINESE, asked).turns[0]) == f"{lines}先看图1再看图2好"


def test_images_before_the_turn_come_along_and_later_ones_stay() -> None:
    talk = talk_of(
        ("system", (A,)), ("system", (Text("Be brief."), B)), ("user", (C, Text("?"))),
        ("assistant", (Text("No."),)), ("user", (A, Text("And?"))),
    )  # fmt: skip
    turns = apply(SHORT, talk).turns
    assert [said(turn) for turn in turns] == [
        "Be brief.", "3 images\nImage 1: [a]\nImage 2: [b]\nImage 3: [c]\n?", "No.", "[a]And?",
        "Yes.",
    ]  # fmt: skip


def test_images_named_between_words_are_counted_from_those_before_the_turn() -> None:
    talk = talk_of(("system", (A,)), ("user", (Text("Is"), B, Text("it?"))))
    assert said(apply(SHORT, talk).turns[0]).endswith("\nIs Image 2 it?")


@pytest.mark.parametrize(
    "talk",
    [
        ask(Text("Which?")),
        ask(FILM, Text("Which?")),
        talk_of(("user", (Text("Which?"),)), ("assistant", (Text("a"),)), ("user", (A,))),
        talk_of(("system", (A, Text("Be brief.")))),
    ],
)
def test_without_images_to_number_nothing_is_said(talk: Conversation) -> None:
    assert apply(SHORT, talk) == talk


def test_words_that_look_like_fields_or_marks_stay_words() -> None:
    words = "{instruction} {{x}} <image> {num_images"
    parts = apply(SHORT, ask(A, Text(words))).turns[0].parts
    assert parts == (Text("1 image\nImage 1: "), A, Text(f"\n{words}"))


def test_a_row_that_asks_nothing_is_bad_where_the_template_does_not_either() -> None:
    silent = parse_template("{numbered_images} {instruction}", "silent.txt")
    with pytest.raises(BadSampleError) as caught:
        apply(silent, ask(A))
    assert "asks nothing" in caught.value.reason
    assert "silent.txt" in caught.value.remedy


@pytest.mark.parametrize("name", shipped_templates())
def test_a_shipped_template_says_how_many_images_there_are(name: str) -> None:
    for images in ((A,), (A, B, C)):
        turn = apply(load_template(name), ask(*images, Text("Q"))).turns[0]
        assert str(len(images)) in turn.parts[0].text  # type: ignore[union-attr]
        assert said(turn).endswith("\n\nQ")


PARTS = st.lists(
    st.one_of(
        st.builds(Text, st.sampled_from(["a ", "{b}", "<image>", "\n", " "])),
        st.sampled_from([A, B, FILM]),
    ),
    min_size=1,
    max_size=6,
).map(tuple)
ROLES: st.SearchStrategy[Role] = st.sampled_from(["user", "system", "assistant"])
TALKS = st.lists(st.tuples(ROLES, PARTS), min_size=1, max_size=4).map(
    lambda turns: talk_of(*turns)
)


@given(TALKS)
def test_no_image_and_no_word_is_lost(talk: Conversation) -> None:
    put = apply(SHORT, talk)
    for kind in ("image", "video"):
        assert [ref for ref in put.media if ref.kind == kind] == [
            ref for ref in talk.media if ref.kind == kind
        ]
    words = "".join("".join(turn.text for turn in put.turns).split())
    before = iter(words)
    for turn in talk.turns:
        assert all(letter in before for letter in "".join(turn.text.split()))
    assert all(turn.parts for turn in put.turns)
