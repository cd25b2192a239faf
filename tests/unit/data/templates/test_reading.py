"""Template files: the shipped ones, a person's own, and what is wrong with one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.templates.reading import (
    MOST_BYTES,
    load_template,
    parse_template,
    shipped_templates,
)
from orchestrator.data.templates.template import Field
from orchestrator.errors import ConfigError, DataError

WHOLE = "{num_images} of them\n{numbered_images}\n{instruction}"


def test_each_shipped_template_comes_in_two_languages_and_asks_something_by_itself() -> None:
    names = shipped_templates()
    assert {"vqa", "comparison", "multi_view", "temporal"} <= set(names)
    assert {name for name in names if not name.endswith("_zh")} == {
        name.removesuffix("_zh") for name in names if name.endswith("_zh")
    }
    for name in names:
        fields = {
            piece.name: piece for piece in load_template(name).body if isinstance(piece, Field)
        }
        assert set(fields) == {"num_images", "numbered_images", "instruction"}
        assert fields["instruction"].options


def test_a_persons_own_file_is_read_whatever_editor_wrote_it(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_bytes(
        b"\xef\xbb\xbfeach: #{number} <image>\r\n\r\nSee {{these}}:\r\n"
        b"{numbered_images}\r\n{instruction|Why | how?}\r\n"
    )
    template = load_template(str(own))
    assert template.each == ("#", Field("number"), " ", Field("image"))
    assert template.body == (
        "See {these}:\n",
        Field("numbered_images"),
        "\n",
        Field("instruction", ("Why | how?",)),
    )


def test_without_a_first_line_of_its_own_an_image_is_introduced_in_english() -> None:
    assert parse_template(WHOLE, "own").each == (
        "Image ",
        Field("number"),
        ": ",
        Field("image"),
    )


def test_two_templates_are_equal_if_they_say_the_same_wherever_they_lie() -> None:
    assert parse_template(WHOLE, "here") == parse_template(WHOLE, "there")
    assert repr(parse_template(WHOLE, "here")) == repr(parse_template(WHOLE, "there"))


def test_an_unknown_name_is_refused_with_all_names_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_template("comparisn")
    assert "did you mean comparison?" in caught.value.problem
    for name in shipped_templates():
        assert name in caught.value.fix


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("{numbered_images}", "own", "{instruction} is missing"),
        ("{instruction}", "own", "{numbered_images} is missing"),
        ("", "own", "{numbered_images} is missing"),
        (WHOLE + "{instruction}", "own", "{instruction} is there 2 times"),
        (WHOLE + "\n{num_image}", "own, line 4", "unknown field {num_image}"),
        (WHOLE + "{}", "own, line 3", "unknown field {}"),
        (WHOLE + "{image}", "own, line 3", "<image> stands outside of each"),
        (WHOLE + "{number}", "own, line 3", "unknown field {number}"),
        ("each: Image {number}: <image>\n\n\n}" + WHOLE, "own, line 4", "'}' has no partner"),
        ("{ " + WHOLE, "own, line 1", "'{' has no partner"),
        ("<image>\n" + WHOLE, "own, line 1", "<image> stands outside of each"),
        ("{num_images|image}" + WHOLE, "own, line 1", "{num_images|image} is not complete"),
        ("{numbered_images|a}{instruction}", "own, line 1", "is not complete"),
        ("{numbered_images}{instruction|}", "own, line 1", "is not complete"),
        ("each: Image: <image>\n" + WHOLE, "own: each", "{number} is missing"),
        ("each: Image {number}\n" + WHOLE, "own: each", "<image> is missing"),
        ("each: {number} <image> <image>\n" + WHOLE, "own: each", "<image> is there 2 times"),
        ("each: {image} {number}\n" + WHOLE, "own, line 1", "unknown field {image}"),
        ("each: {num_images} <image>\n" + WHOLE, "own, line 1", "unknown field {num_images}"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_a_remedy(
    text: str, where: str, problem: str
) -> None:
    with pytest.raises(DataError) as caught:
        parse_template(text, "own")
    assert problem in caught.value.problem
    assert caught.value.where == where
    assert caught.value.fix


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfe{\x00", "byte 0 is not UTF-8"),
        (b"a" * (MOST_BYTES + 1), "at most 100000 in a template"),
    ],
)
def test_a_file_that_is_no_text_of_a_persons_is_refused(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_template(str(file))
    assert problem in caught.value.problem
    assert caught.value.where == str(file)


PIECES = st.lists(
    st.sampled_from(["{", "}", "{{", "}}", "|", "num_images", "<image>", "a", "\n", "each:",
                     "{number}", "{instruction|x}", "{numbered_images}"]),
    max_size=12,
).map("".join)  # fmt: skip


@given(PIECES)
def test_any_text_is_a_template_or_refused_as_one(text: str) -> None:
    try:
        template = parse_template(text, "own")
    except DataError:
        return
    assert sum(piece == Field("numbered_images") for piece in template.body) == 1
