"""A JSON list, whose borders are found without parsing it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.data.sources import json_list, opening
from orchestrator.data.sources.record import Record
from orchestrator.errors import DataError

ROWS = [{"id": "a", "messages": "描述"}, {"id": "b", "messages": "\ud83d"}]


@pytest.mark.parametrize("opening", ["", "\ufeff", "\n  "])
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_are_counted_from_one(
    tmp_path: Path, opening: str, indent: int | None, read: Any
) -> None:
    path = tmp_path / "data.json"
    path.write_text(opening + json.dumps(ROWS, indent=indent) + "\n", encoding="utf-8")
    for rows in (1, 2):
        assert read(path, rows) == [Record(1, ROWS[0]), Record(2, ROWS[1])]


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        (b'{"a": nope}', "is not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"7", "is a JSON int, not an object"),
        (b"", "is left out"),
        (b'"a, [b"', "is a JSON str"),
    ],
)
def test_a_broken_element_is_one_bad_row(
    tmp_path: Path, element: bytes, fault: str, read: Any
) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(b'[{"messages": 1},' + element + b',{"messages": 2}]')
    for rows in (1, 3):
        first, bad, last = read(path, rows)
        assert (first.value, last.value) == ({"messages": 1}, {"messages": 2})
        assert fault in str(bad.fault)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[\n{"messages": 1},\n{"messages": "a}\n]', "line 3"),
        ('[\n{"messages": 1},', "line 2"),
        ('[\n{"messages": 1}\n', "line 3"),
        ('[\n{"messages": 1}]\n[2]', "line 3"),
        ('[{"messages": 1}]]', "Extra data"),
        ("[", "line 1"),
    ],
)
def test_a_broken_list_is_an_error_that_names_file_and_line(
    tmp_path: Path, content: str, reason: str, read: Any
) -> None:
    path = tmp_path / "data.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"is not JSON .*{reason}") as caught:
        read(path)
    assert caught.value.where == str(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('"\\[]{},a 描\n', max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\,]a'), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.dictionaries(st.text('"\\}a', max_size=3), JSON, max_size=3), max_size=12),
    st.integers(1, 5),
    st.integers(1, 40),
    st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}]),
)
def test_any_list_in_any_runs_gives_its_elements(
    tmp_path: Path,
    rows: list[dict[str, Any]],
    rows_per_run: int,
    block_bytes: int,
    style: dict[str, Any],
) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(rows, **style), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", block_bytes)
        found = [
            record
            for span in json_list.cut(str(path), rows_per_run)
            for record in json_list.read(str(path), span)
        ]
    assert found == [Record(row, value) for row, value in enumerate(rows, start=1)]
