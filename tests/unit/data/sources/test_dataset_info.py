"""dataset_info.json, as LLaMA-Factory's users write it."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.data.placing import parse
from orchestrator.errors import DataError

TURNS = [{"who": "user", "text": "Q"}, {"who": "assistant", "text": "A"}]
SHAREGPT = {
    "file_name": "turns.json",
    "formatting": "sharegpt",
    "columns": {"messages": "dialog", "images": "pics"},
    "tags": {"role_tag": "who", "content_tag": "text", "user_tag": "user",
             "assistant_tag": "assistant"},
}  # fmt: skip
ALPACA = {"file_name": "folder/alpaca.jsonl"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "turns.json").write_text(json.dumps([{"dialog": TURNS, "pics": ["a.jpg"]}]))
    (tmp_path / "folder").mkdir()
    row = {"instruction": "Q", "input": "", "output": "A"}
    (tmp_path / "folder" / "alpaca.jsonl").write_text(json.dumps(row))
    return tmp_path


def info(folder: Path, **entries: Any) -> Path:
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(entries, indent=2))
    return path


def test_data_sets_are_read_as_they_are_described(folder: Path, read: Any) -> None:
    path = info(folder, one=SHAREGPT, two=ALPACA, three={**ALPACA, "file_name": "folder"})
    for place in (path, folder):
        conversations = [parse(record) for record in read(place)]
        assert [[turn.text for turn in one.turns] for one in conversations] == [["Q", "A"]] * 3
        assert [len(one.media) for one in conversations] == [1, 0, 0]
    assert len(read(path, datasets=("two",))) == 1


def test_what_the_job_says_counts_more(folder: Path, read: Any) -> None:
    row = {"messages": [{"role": "user", "content": "Q"}], "instruction": "?", "output": "!"}
    (folder / "both.jsonl").write_text(json.dumps(row))
    path = info(folder, both={"file_name": "both.jsonl"})
    assert read(path)[0].value["conversations"][0]["content"] == "?"
    assert "conversations" not in read(path, formatting="openai")[0].value


def test_columns_that_it_does_not_name_are_left_alone(folder: Path, read: Any) -> None:
    row = {"question": "Q", "input": "not asked", "output": "A", "system": "no", "tools": "no"}
    (folder / "qa.jsonl").write_text(json.dumps(row))
    columns = {"prompt": "question", "response": "output"}
    path = info(folder, qa={"file_name": "qa.jsonl", "columns": columns})
    assert [turn.text for turn in parse(read(path)[0]).turns] == ["Q", "A"]


def test_a_split_is_a_folder_of_a_saved_data_set(folder: Path, read: Any) -> None:
    for split, answer in (("train", "A"), ("test", "B")):
        (folder / "saved" / split).mkdir(parents=True)
        row = {"instruction": "Q", "output": answer}
        (folder / "saved" / split / "data.jsonl").write_text(json.dumps(row))
    (folder / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    entry = {"file_name": "saved"}
    path = info(folder, one=entry, two={**entry, "split": "test"})
    said = [record.value["conversations"][1]["content"] for record in read(path)]
    assert said == ["A", "B"]


BAD = [
    ({"ranking": True}, "ranking: true is preference data"),
    ({"file_name": None, "hf_hub_url": "a/b"}, "is at hf_hub_url: a/b. Download it"),
    ({"file_name": None, "script_url": "a"}, "is at script_url: a"),
    ({"file_name": None, "cloud_file_name": "s3://a"}, "is at cloud_file_name"),
    ({"file_name": None}, "names no file"),
    ({"file_name": "none.json"}, "'none.json' is not there"),
    ({"file_name": 3}, "file_name is 3"),
    ({"num_samples": 10}, "num_samples: 10 is not supported"),
    ({"subset": "en"}, "subset: en"),
    ({"split": "test"}, "split: test is not there"),
    ({"formatting": "chatml"}, "formatting is 'chatml'"),
    ({"columns": {"chosen": "a"}}, "columns.chosen: preference data"),
    ({"columns": {"kto_tag": "a"}}, "columns.kto_tag: preference data"),
    ({"columns": {"audios": "a"}}, "audios are not supported"),
    ({"columns": {"picture": "a"}}, "columns.picture: unknown"),
    ({"columns": []}, ""),
    ({"columns": "a"}, "columns is 'a'"),
    ({"tags": {"user_tag": 3}}, "tags.user_tag: is 3"),
    ({"filename": "a"}, "unknown filename"),
]


@pytest.mark.parametrize(("more", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_cannot_be_followed_is_said(
    folder: Path, more: dict[str, Any], reason: str, read: Any
) -> None:
    path = info(folder, good=ALPACA, bad={**ALPACA, **more})
    if not reason:
        assert len(read(path)) == 2
        return
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"{path}: bad: " in str(caught.value)
    assert reason in str(caught.value)
    assert len(read(path, datasets=("good",))) == 1


def test_all_that_is_wrong_is_said_at_once(folder: Path, read: Any) -> None:
    path = info(
        folder, one={**ALPACA, "ranking": True, "subset": "en"}, two={"columns": {}}, x=3
    )
    with pytest.raises(DataError) as caught:
        read(path, datasets=("one", "two", "x", "three"))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["one", "one", "two", "x", "three"]
    assert "Use one of one, two, x" in lines[-1]
