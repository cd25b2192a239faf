"""Answers for groups, from a table that a person wrote."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.grouping.rules import Group
from orchestrator.errors import DataError

_COLUMNS = ("id", "image")


@dataclass(frozen=True, slots=True)
class Answers:
    """What is answered, by group or by picture."""

    key: str
    """``id`` of a group, or the name of an ``image`` in it."""

    by_key: dict[str, str]


@dataclass(frozen=True, slots=True)
class Answered:
    """Groups with what is answered to each."""

    by_id: dict[str, str]
    notes: tuple[str, ...]
    """What a person should hear: answers that fit no group, or contradict one another."""


def read_answers(path: Path) -> Answers:
    """Read a CSV with a column ``answer`` and one of ``id`` (of a group) and ``image``.

    Raises:
        DataError: It cannot be read, has other columns, or answers twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot be read as a table ({error})", str(path), "Save it as CSV in UTF-8"
        ) from error
    columns = list(rows[0]) if rows else []
    keys = [column for column in _COLUMNS if column in columns]
    if "answer" not in columns or len(keys) != 1:
        raise DataError(
            f"has the columns {columns}", str(path), "Name two of them: answer, and id or image"
        )
    by_key: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        key, answer = ((row[column] or "").strip() for column in (keys[0], "answer"))
        if not answer:
            continue
        if by_key.setdefault(key, answer) != answer:
            raise DataError(
                f"answers {keys[0]} {key!r} twice", f"{path}, row {number}", "Keep one answer"
            )
    return Answers(keys[0], by_key)


def answered(groups: Sequence[Group], answers: Answers) -> Answered:
    """Find each group's answer; one whose pictures have several gets none."""
    by_id, notes, used = {}, [], set()
    for group in groups:
        keys = (group.id,) if answers.key == "id" else group.names
        found = [key for key in keys if key in answers.by_key]
        used.update(found)
        texts = {answers.by_key[key] for key in found}
        if len(texts) == 1:
            by_id[group.id] = texts.pop()
        elif texts:
            notes.append(f"group {group.id}: {len(texts)} answers, so none was taken")
    unused = [key for key in answers.by_key if key not in used]
    if unused:
        shown = ", ".join(unused[:5]) + (", …" if len(unused) > 5 else "")
        notes.append(f"answers for no group: {len(unused)} ({answers.key} {shown})")
    return Answered(by_id, tuple(notes))
