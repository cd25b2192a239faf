"""Answers from a person's table."""

from pathlib import Path

import pytest

from orchestrator.data.grouping.answers import Answers, answered, read_answers
from orchestrator.data.grouping.rules import Group
from orchestrator.errors import DataError

GROUPS = [Group("shoes", ("a.jpg", "b.jpg")), Group("hats", ("c.jpg",))]


def test_answers_are_found_by_group_whatever_program_wrote_the_table(tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    table.write_bytes(
        '\ufeffid,who,answer\r\nshoes,me,"Two,\nred"\r\nhats,me, \r\nbags,me,x\r\n'.encode()
    )
    found = answered(GROUPS, read_answers(table))
    assert found.by_id == {"shoes": "Two,\nred"}
    assert found.notes == ("answers for no group: 1 (id bags)",)


def test_an_images_answer_is_its_groups_unless_another_image_disagrees() -> None:
    assert answered(GROUPS, Answers("image", {"b.jpg": "Red"})).by_id == {"shoes": "Red"}
    torn = answered(GROUPS, Answers("image", {"a.jpg": "Red", "b.jpg": "Blue", "c.jpg": "x"}))
    assert torn.by_id == {"hats": "x"}
    assert torn.notes == ("group shoes: 2 answers, so none was taken",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has the columns []"),
        ("id,text\na,b\n", "has the columns ['id', 'text']"),
        ("id,image,answer\na,b,c\n", "has the columns"),
        ("id,answer\na,b\na,c\n", "answers id 'a' twice"),
    ],
)
def test_a_table_that_could_be_misread_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    table = tmp_path / "answers.csv"
    table.write_text(text)
    with pytest.raises(DataError) as caught:
        read_answers(table)
    assert problem in caught.value.problem


@pytest.mark.parametrize("data", [None, b"\xff\xfei\x00d"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes | None) -> None:
    table = tmp_path / "answers.csv"
    if data is not None:
        table.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_answers(table)
