"""Rows of every form, brought into one."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.data.conversation import Conversation, MediaRef, Text, Turn
from orchestrator.data.placing import parse
from orchestrator.errors import DataError

ASK = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "A"}
PARTS = [
    {"type": "image_url", "image_url": {"url": "a.jpg"}},
    {"type": "text", "text": "Q"},
]
DIALOG = [{"who": "me", "says": "Q"}, {"who": "it", "says": "A"}]
WHOLE = Conversation(
    "1", (Turn("user", (MediaRef("a.jpg"), Text("Q"))), Turn("assistant", (Text("A"),)))
)


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "more"),
    [
        ({"messages": [ASK, ANSWER], "images": ["a.jpg"]}, {}),
        ({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}],
          "image": "a.jpg"}, {}),
        ({"instruction": "Q", "input": "", "output": "A", "images": ["a.jpg"]}, {}),
        ({"prompt": "Q", "response": "A", "images": "a.jpg"}, {}),
        ({"instruction": "", "input": "Q", "output": "A", "images": "a.jpg"}, {}),
        ({"messages": [{"role": "user", "content": PARTS}, ANSWER]}, {"formatting": "openai"}),
        ({"messages": {"from": ["human", "gpt"], "value": ["Q", "A"]}, "image": "a.jpg"}, {}),
        ({"dialog": DIALOG, "pics": ["a.jpg"]},
         {"columns": {"messages": "dialog", "images": "pics"},
          "tags": {"role_tag": "who", "content_tag": "says", "user_tag": "me",
                   "assistant_tag": "it"}}),
        ({"messages": [ASK, ANSWER], "images": ["b.jpg"], "pics": ["a.jpg"]},
         {"columns": {"images": "pics"}}),
        ({"question": "Q", "answer": "A", "image": "a.jpg"},
         {"columns": {"prompt": "question", "response": "answer"}}),
        ({"input": "Q", "output": "A", "image": "a.jpg"}, {"columns": {"prompt": "input"}}),
        ({"messages": [ASK, ANSWER], "instruction": "?", "output": "?", "image": "a.jpg"},
         {"formatting": "sharegpt"}),
        ({"chosen": [ASK, ANSWER], "rejected": [ASK], "images": "a.jpg"},
         {"columns": {"messages": "chosen"}}),
        ({"instruction": "Q", "chosen": "A", "rejected": "B", "images": "a.jpg"},
         {"columns": {"response": "chosen"}}),
    ],
)  # fmt: skip
def test_every_form_gives_the_same_conversation(
    tmp_path: Path, row: Any, more: dict[str, Any], read: Any
) -> None:
    (record,) = read(write(tmp_path, row), **more)
    assert parse(record) == WHOLE


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"instruction": "Q", "input": "x", "output": "A"}, ["Q\nx", "A"]),
        ({"instruction": "Q", "output": "A", "history": [["q", "a"]]}, ["q", "a", "Q", "A"]),
        ({"instruction": "Q", "output": "A", "history": '[["q", "a"]]'}, ["q", "a", "Q", "A"]),
        ({"instruction": "Q", "output": "A", "history": []}, ["Q", "A"]),
        ({"instruction": "Q", "output": "A", "system": "S"}, ["S", "Q", "A"]),
        ({"instruction": "Q", "output": "[1, 2]"}, ["Q", "[1, 2]"]),
        ({"instruction": "", "output": "A", "image": "a.jpg"}, ["", "A"]),
    ],
)
def test_alpaca_is_read_as_its_writers_mean_it(
    tmp_path: Path, row: Any, said: list[str], read: Any
) -> None:
    (record,) = read(write(tmp_path, row))
    assert [turn.text for turn in parse(record).turns] == said


def test_speakers_keep_their_parts(tmp_path: Path, read: Any) -> None:
    names = ["system", "human", "function_call", "observation", "gpt"]
    turns = [{"from": name, "value": name} for name in names]
    (record,) = read(write(tmp_path, {"conversations": turns}))
    roles = [turn.role for turn in parse(record).turns]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"instruction": "Q", "output": 3}, "'output' is 3"),
        ({"instruction": "Q", "output": ["A", "B"]}, "'output' is ['A', 'B']"),
        ({"instruction": "Q", "prompt": "Q", "output": "A"}, "both 'instruction' and 'prompt'"),
        ({"instruction": "Q", "output": "A", "history": ["q"]}, "'history' holds 'q'"),
        (
            {"instruction": "Q", "output": "A", "history": [["q", 1]]},
            "'history' holds ['q', 1]",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_one_bad_row_that_keeps_its_id(
    tmp_path: Path, row: Any, fault: str, read: Any
) -> None:
    good = {"instruction": "Q", "output": "A"}
    before, bad = read(write(tmp_path, good, {"id": "x", **row}))
    assert before.fault is None
    assert fault in bad.fault
    assert bad.value["id"] == "x"


@pytest.mark.parametrize(
    ("row", "more", "reason"),
    [
        ({"messages": [], "instruction": "Q", "output": "A"}, {}, "sharegpt or as alpaca"),
        ({"text": "Q", "image": "a"}, {}, "neither conversations .* but image, text"),
        ({"text": "Q"}, {"formatting": "openai"}, "no conversations"),
        (
            {"messages": []},
            {"formatting": "alpaca"},
            r"no output \(or response\), but messages",
        ),
        ({"chosen": "A", "rejected": "B", "prompt": "Q"}, {}, "preferences"),
        ({"chosen": "A", "rejected": "B", "messages": []}, {}, "preferences"),
        ({"messages": [], "kto_tag": True}, {}, "kto_tag"),
        (
            {"messages": []},
            {"columns": {"messages": "turns"}},
            "no column 'turns', but messages",
        ),
    ],
)
def test_a_file_that_cannot_be_told_is_an_error(
    tmp_path: Path, row: Any, more: dict[str, Any], reason: str, read: Any
) -> None:
    path = write(tmp_path, row, row)
    with pytest.raises(DataError, match=reason) as caught:
        read(path, **more)
    assert caught.value.where == str(path)


def test_a_table_has_every_column_that_the_job_names(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "data.csv"
    path.write_text("messages,image\nx,a.jpg\n")
    with pytest.raises(DataError, match="no column 'pics', but image, messages"):
        read(path, columns={"images": "pics"})


def test_rows_of_a_file_of_faults_are_read_nonetheless(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("nonsense\nmore of it\n")
    assert [record.fault is None for record in read(path)] == [False, False]
