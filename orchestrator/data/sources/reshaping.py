"""From a row as its file has it to the one form of a row."""

import ast
import json
from collections.abc import Callable, Mapping

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.sources.alpaca import from_alpaca
from orchestrator.data.sources.columns import LISTS, NEEDED, TURNS, USUAL, Row
from orchestrator.data.sources.form import Form
from orchestrator.data.sources.members import with_members
from orchestrator.data.sources.record import Record

_LEFT_ALONE = {"tools", "audios", "audio"}
_ROLES = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "assistant",
    "system_tag": "system",
}
_UNPARSABLE = (ValueError, SyntaxError, RecursionError, MemoryError)


def reshape(form: Form) -> Callable[[Record], Record]:
    """Give what brings rows of a file into the one form."""
    columns, tags = dict(form.columns), dict(form.tags)
    others = {USUAL[ours][0]: theirs for ours, theirs in columns.items()}
    dropped = _dropped(form)
    speakers = {tags[tag]: role for tag, role in _ROLES.items() if tag in tags}
    is_alpaca = form.formatting == "alpaca"

    def reshaped(record: Record) -> Record:
        value = record.value
        if value is None or record.fault is not None:
            return record
        try:
            row = _renamed(value, others, dropped) if others else value
            row = _with_lists(row)
            if record.members:
                row = with_members(row, record.members)
            if is_alpaca:
                row = from_alpaca(row)
            if tags:
                row = _with_roles(row, tags, speakers)
        except BadSampleError as error:
            return Record(record.row, value, error.reason, error.remedy)
        return record if row is value else Record(record.row, row)

    return reshaped


def _dropped(form: Form) -> frozenset[str]:
    """Columns that would be taken for what another column is named as."""
    named = dict(form.columns)
    unused = [name for name in USUAL if name in named]
    if form.only_named:
        unused += [name for name in USUAL if name not in NEEDED]
    usual = {name for ours in unused for name in USUAL[ours]}
    return frozenset(usual | set(named.values()) | (_LEFT_ALONE if form.only_named else set()))


def _renamed(value: Row, others: Mapping[str, str], dropped: frozenset[str]) -> Row:
    row = {name: cell for name, cell in value.items() if name not in dropped}
    row.update((ours, value[theirs]) for ours, theirs in others.items() if theirs in value)
    return row


def _with_lists(value: Row) -> Row:
    """Read lists that are written otherwise, as tables of some kinds have them."""
    row = value
    for name in LISTS:
        cell = value.get(name)
        if isinstance(cell, str) and cell[:1] in ("[", "{"):
            row = {**row, name: _list_from(cell)}
        elif isinstance(cell, dict) and name in TURNS:
            row = {**row, name: _turned(cell)}
    return row


def _turned(cell: Row) -> object:
    """A list of turns, where a table has it as lists of all roles and all texts."""
    lists = list(cell.values())
    if not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return cell
    return [dict(zip(cell, turn, strict=True)) for turn in zip(*lists, strict=True)]


def _list_from(cell: str) -> object:
    for parse in (json.loads, ast.literal_eval):
        # Python's own way is what pandas writes.
        try:
            found = parse(cell)
        except _UNPARSABLE:
            continue
        if isinstance(found, list | dict):
            return found
    return cell


def _with_roles(value: Row, tags: Mapping[str, str], speakers: Mapping[str, str]) -> Row:
    name = next((name for name in TURNS if isinstance(value.get(name), list)), None)
    if name is None:
        return value
    return {**value, name: [_turn(turn, tags, speakers) for turn in value[name]]}


def _turn(turn: object, tags: Mapping[str, str], speakers: Mapping[str, str]) -> object:
    if not isinstance(turn, dict):
        return turn
    given = dict(turn)
    for tag, ours, usual in (("role_tag", "role", "from"), ("content_tag", "content", "value")):
        if tags.get(tag) in turn:
            given.pop(usual, None)
            given.pop(tags[tag], None)
            given[ours] = turn[tags[tag]]
    key = "role" if "role" in given else "from"
    speaker = given.get(key)
    if isinstance(speaker, str) and speaker in speakers:
        given[key] = speakers[speaker]
    return given
