"""From rows as people write them to conversations."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.placing import parse, record_id
from orchestrator.data.sources.record import Record

FILM = MediaRef("a.mp4", "video")
MARK = "<image>"
A, B = MediaRef("a.jpg"), MediaRef("b.jpg")
IMAGES = ["a.jpg", "b.jpg"]


def turns_of(value: dict[str, Any]) -> tuple[Turn, ...]:
    return parse(Record(7, value)).turns


def ask(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    given = [{"role": role, "content": content} for role, content in turns]
    return {"images": IMAGES, "conversations": given, **more}


def test_the_plainest_form_is_read_word_for_word() -> None:
    value = json.loads(
        '{"images": ["path1.jpg", "path2.png"], "conversations": [{"role": "human", "content": '
        '"描述这两张图片的差异"}, {"role": "assistant", "content": "第一张显示...第二张..."}]}'
    )
    assert parse(Record(7, value)) == Conversation(
        "7",
        (
            Turn(
                "user",
                (MediaRef("path1.jpg"), MediaRef("path2.png"), Text("描述这两张图片的差异")),
            ),
            Turn("assistant", (Text("第一张显示...第二张..."),)),
        ),
    )


@pytest.mark.parametrize(("key", "speaker", "says"), [
    ("conversations", "from", "value"),
    ("conversations", "role", "content"),
    ("messages", "role", "content"),
    ("messages", "from", "value"),
])  # fmt: skip
@pytest.mark.parametrize(("user", "assistant"), [("human", "gpt"), ("user", "assistant")])
def test_every_spelling_gives_the_same_turns(
    key: str, speaker: str, says: str, user: str, assistant: str
) -> None:
    value = {
        "images": IMAGES,
        key: [
            {speaker: "system", says: "Be brief."},
            {speaker: user, says: "One <image> two <image>?"},
            {speaker: assistant, says: "Yes."},
        ],
    }
    assert turns_of(value) == (
        Turn("system", (Text("Be brief."),)),
        Turn("user", (Text("One "), A, Text(" two "), B, Text("?"))),
        Turn("assistant", (Text("Yes."),)),
    )


@pytest.mark.parametrize(
    ("content", "images", "parts"),
    [
        ("Which?", IMAGES, (A, B, Text("Which?"))),
        ("Which?", "a.jpg", (A, Text("Which?"))),
        ("<image><image>\nWhich?", IMAGES, (A, B, Text("\nWhich?"))),
        ("<image>", "a.jpg", (A,)),
        ("Which?", None, (Text("Which?"),)),
        ([{"type": "image"}, {"type": "text", "text": "or <image>?"}], IMAGES,
         (A, Text("or "), B, Text("?"))),
        ([{"type": "image", "image": "a.jpg"}, "?"], [], (A, Text("?"))),
        ([{"type": "image_url", "image_url": {"url": "b.jpg"}}], [], (B,)),
        ([{"type": "input_image", "image_url": "b.jpg"}, {"type": "input_text", "text": "?"}],
         [], (B, Text("?"))),
        ([{"type": "image", "path": "b.jpg", "image": None}], [], (B,)),
        ([{"type": "image", "image": {"bytes": None, "path": "b.jpg"}}], [], (B,)),
        ([{"type": "video", "video": "a.mp4"}, "?"], [], (FILM, Text("?"))),
        ([{"type": "video_url", "video_url": {"url": "a.mp4"}}], [], (FILM,)),
        ([{"type": "image", "image": "data:,x"}], [],
         (MediaRef("inline image of turn 1", content=b"x"),)),
        ([{"type": "image", "image": "b.jpg"}, {"type": "image"}], ["a.jpg"], (B, A)),
        ("<|image_pad|>", [], (Text("<|image_pad|>"),)),
    ],
)  # fmt: skip
def test_images_are_placed_by_marks_by_parts_or_first(
    content: Any, images: Any, parts: tuple[Any, ...]
) -> None:
    value = ask(("user", content), ("assistant", "a"), images=images)
    assert turns_of(value)[0] == Turn("user", parts)


def test_unmarked_images_go_to_the_first_user_turn() -> None:
    turns = turns_of(ask(("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v")))
    assert turns[1] == Turn("user", (A, B, Text("u")))
    assert turns[3] == Turn("user", (Text("v"),))


def test_a_system_field_of_the_row_is_the_first_turn() -> None:
    turns = turns_of(ask(("user", "u"), ("assistant", "a"), system="Be brief."))
    assert turns[0] == Turn("system", (Text("Be brief."),))


ANSWER = ("assistant", "a")
BAD = [
    (ask(("user", "<image>"), ANSWER), "1 image mark, 2 images listed"),
    (ask(("user", "<image><image><image>"), ANSWER), "3 image marks, 2 images listed"),
    (ask(("user", "u")), "no label"),
    (ask(("user", "<image>"), ("assistant", "a <image>")), "assistant turn holds an image"),
    (ask(ANSWER), "no user turn"),
    (ask(("user", " "), ANSWER), "turn 1: 'content' is blank"),
    (ask(("", "u"), ANSWER), "turn 1: 'role' is blank"),
    (ask(("user", None), ANSWER), "turn 1: 'content' is blank"),
    (ask(("bot", "u"), ANSWER), "turn 1 is spoken by 'bot'"),
    (ask((3, "u"), ANSWER), "turn 1 is spoken by 3"),
    (ask(("user", 3), ANSWER), "turn 1 says 3"),
    (ask(("user", [{"type": "audio"}]), ANSWER), "turn 1 holds {'type': 'audio'}"),
    (ask(("user", ["<video>"]), ANSWER), "0 image marks, 2 images listed"),
    (ask(("user", ["<video>"]), ANSWER, images=[]), "1 video mark, 0 videos listed"),
    (ask(("user", "<image>" * 2), ANSWER, videos="a.mp4"), "0 video marks, 1 video listed"),
    (
        ask(("user", "u"), ("assistant", "a <video>"), images=[], videos="a.mp4"),
        "an assistant turn holds a video",
    ),
    (ask(("user", [{"type": "text"}]), ANSWER), "a text part is"),
    (ask(("user", [{"type": "image", "image": 3}]), ANSWER), "image of turn 1 is 3"),
    (ask(("user", "u"), ANSWER, images=["a", None]), "image 2 is None"),
    (ask(("user", "u"), ANSWER, images={"a": 1}), "'images' is {'a': 1}"),
    (ask(("user", "u"), ANSWER, image="a"), "both 'images' and 'image'"),
    (ask(("user", "u"), ANSWER, audios=["a.mp3"]), "'audios' is not supported: only image"),
    (ask(("user", "u"), ANSWER, tools="[]"), "'tools' is not supported"),
    (
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]},
        "turn 1: 'tool_calls' are not supported",
    ),
    (ask(("user", "u"), ANSWER, images=["data:,"]), "image 1 is empty"),
    (ask(("user", "u"), ANSWER, system=3), "'system' is 3"),
    (ask(("user", "half \ud83d"), ANSWER), "half a character, '\\ud83d'"),
    ({"conversations": ["u"]}, "turn 1 is 'u'"),
    ({"conversations": [{"role": "user"}]}, "turn 1 has neither 'value' nor 'content'"),
    ({"conversations": []}, "'conversations' is []"),
    ({"text": "u"}, "neither 'conversations' nor 'messages', but ['text']"),
    ({"messages": [], "conversations": []}, "both 'conversations' and 'messages'"),
    (None, "row is not JSON"),
]


@pytest.mark.parametrize(("value", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_does_not_add_up_is_refused_with_the_value_and_a_remedy(
    value: dict[str, Any] | None, reason: str
) -> None:
    with pytest.raises(BadSampleError) as caught:
        parse(Record(7, value, "is not JSON" if value is None else None))
    assert reason in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": "a"}, "a"),
        ({"id": 0}, "0"),
        ({"id": " "}, "7"),
        ({}, "7"),
        (None, "7"),
        ({"id": "\ud83d"}, "?"),
        ({"id": []}, "7"),
    ],
)
def test_an_id_is_the_rows_own_or_its_number(value: Any, expected: str) -> None:
    assert record_id(Record(7, value)) == expected


def test_films_are_placed_as_images_are() -> None:
    value = ask(("user", "<image><video>?<image>"), ANSWER, video="a.mp4")
    assert turns_of(value)[0] == Turn("user", (A, FILM, Text("?"), B))
    value = ask(("user", "?"), ANSWER, videos=["a.mp4"])
    assert turns_of(value)[0] == Turn("user", (A, B, FILM, Text("?")))


def test_a_kind_that_somebody_adds_is_placed_likewise() -> None:
    value = ask(("user", "<depth><image>?"), ANSWER, images="a.jpg", depths=["d.exr"])
    parts = parse(Record(1, value), ("image", "depth")).turns[0].parts
    assert parts == (MediaRef("d.exr", "depth"), A, Text("?"))
    with pytest.raises(BadSampleError, match="'videos' is not supported: only image and depth"):
        parse(Record(1, ask(ANSWER, videos="a.mp4")), ("image", "depth"))


def test_a_fault_of_the_row_keeps_its_id_and_remedy() -> None:
    record = Record(3, {"id": "a"}, "is torn", "Mend it")
    with pytest.raises(BadSampleError, match="row is torn") as caught:
        parse(record)
    assert caught.value.remedy == "Mend it"
    assert record_id(record) == "a"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
MARKS = {"image": "<image>", "video": "<video>"}
USER_PARTS = st.lists(st.one_of(TEXTS, st.sampled_from(["<image>", "<video>"])), max_size=8)
COUNTS = {kind: st.integers(0, 6) for kind in MARKS}


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[list[str]], dict[str, int]]:
    """What users say, and how many media of each kind there are: often as many as marks."""
    contents = draw(st.lists(USER_PARTS.filter("".join), min_size=1, max_size=4))
    said = "".join(text for parts in contents for text in parts)
    num_marks = {kind: said.count(mark) for kind, mark in MARKS.items()}
    given = draw(st.one_of(st.just(num_marks), st.fixed_dictionaries(COUNTS)))
    return contents, given


@given(rows())
def test_a_conversation_holds_every_medium_once_and_in_order_or_is_refused(
    drawn: tuple[list[list[str]], dict[str, int]],
) -> None:
    contents, num_media = drawn
    media = {
        kind: [f"{number}.{kind}" for number in range(count)]
        for kind, count in num_media.items()
    }
    turns = [turn for parts in contents for turn in (("user", "".join(parts)), ANSWER)]
    said = "".join(text for _, text in turns)
    num_marks = {kind: said.count(mark) for kind, mark in MARKS.items()}
    is_blank = any(not text.strip() for _, text in turns)
    record = Record(1, ask(*turns, images=media["image"], videos=media["video"]))
    if is_blank or (any(num_marks.values()) and num_marks != num_media):
        with pytest.raises(BadSampleError):
            parse(record)
        return
    conversation = parse(record)
    for kind, uris in media.items():
        assert [ref.uri for ref in conversation.media if ref.kind == kind] == uris
    if any(num_marks.values()):
        # Put back as marks, they give what was said.
        assert "".join(shown(part) for part in conversation.parts()) == said
    else:
        assert [ref.kind for ref in conversation.media] == sorted(
            ref.kind for ref in conversation.media
        )


def shown(part: Text | MediaRef) -> str:
    return part.text if isinstance(part, Text) else MARKS[part.kind]
