"""How the rows of a file are written: told by what the job says, and by its columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.config.data import DataSource
from orchestrator.data.sources.columns import ALPACA, NEEDED, TURNS, USUAL
from orchestrator.data.sources.data_file import DataFile
from orchestrator.data.sources.record import Record
from orchestrator.errors import DataError

Formatting = Literal["sharegpt", "alpaca", "openai"]


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of one file are written. Plain values only."""

    formatting: Formatting
    columns: tuple[tuple[str, str], ...] = ()
    """Our name and the file's, of those that are called otherwise."""

    tags: tuple[tuple[str, str], ...] = ()
    """Likewise, for keys and speakers of a turn."""

    only_named: bool = False
    """Columns of a usual name are left alone where their like are named."""


def form_of(file: DataFile, records: Iterable[Record], *, is_table: bool) -> Form:
    """Tell how a file's rows are written.

    Args:
        file: The file, and what the job says of it.
        records: Some of its rows, as it has them.
        is_table: Whether every row has every column.

    Raises:
        DataError: It cannot be told, or what the job names is not there.
    """
    source, url = file.source, file.url
    sound = (record.value for record in records if record.fault is None)
    rows = [value for value in sound if value is not None]
    present = {name for row in rows for name, cell in row.items() if cell is not None}
    columns = {name: given for name, given in source.columns if given is not None}
    tags = {name: given for name, given in source.tags if given is not None}
    if rows:
        _refuse_preferences(present, columns, url)
        needed = columns if is_table else NEEDED
        held = {name for row in rows for name in row}
        _refuse_absent(held, [columns[name] for name in needed if name in columns], url)
        formatting = _formatting(source, present, columns, url)
    else:
        formatting = "sharegpt" if source.formatting == "auto" else source.formatting
    only_named = file.only_named and bool(columns)
    return Form(formatting, tuple(columns.items()), tuple(tags.items()), only_named)


def _refuse_preferences(present: set[str], columns: Mapping[str, str], url: str) -> None:
    if {"chosen", "rejected"} <= present and "chosen" not in columns.values():
        raise DataError(
            "holds preferences (chosen, rejected), and this trains on one answer",
            url,
            "Name the chosen answers as columns.response, or whole conversations as "
            "columns.messages",
        )
    if "kto_tag" in present:
        raise DataError(
            "holds marks of what is wanted (kto_tag), and this trains on every answer",
            url,
            "Keep the rows with wanted answers, and remove the column",
        )


def _refuse_absent(held: set[str], needed: Iterable[str], url: str) -> None:
    absent = sorted(name for name in needed if name not in held)
    if absent:
        raise DataError(
            f"has no column {_listed(map(repr, absent))}, but {_listed(held)}",
            url,
            "Correct the names under columns",
        )


def _formatting(
    source: DataSource, present: set[str], columns: Mapping[str, str], url: str
) -> Formatting:
    has_turns = "messages" in columns or bool(present & set(TURNS))
    has_alpaca = _has_alpaca(present, columns)
    given = source.formatting
    if given == "auto" and has_turns and has_alpaca:
        raise DataError(
            f"can be read as sharegpt or as alpaca: it has {_listed(present)}",
            url,
            "Say which with formatting",
        )
    if given == "alpaca" or (given == "auto" and not has_turns):
        if not (has_alpaca or (given == "alpaca" and _has("response", present, columns))):
            raise _unknown(present, url, given)
        return "alpaca"
    if not has_turns:
        raise _unknown(present, url, given)
    return "sharegpt" if given == "auto" else given


def _has_alpaca(present: set[str], columns: Mapping[str, str]) -> bool:
    named = any(name in columns for name in ALPACA)
    return named or (_has("prompt", present, columns) and _has("response", present, columns))


def _has(name: str, present: set[str], columns: Mapping[str, str]) -> bool:
    return name in columns or bool(present & set(USUAL[name]))


def _unknown(present: set[str], url: str, formatting: str) -> DataError:
    wanted = {
        "auto": "neither conversations (or messages) nor instruction and output",
        "alpaca": "no output (or response)",
    }.get(formatting, "no conversations (or messages)")
    return DataError(
        f"has {wanted}, but {_listed(present)}", url, "Say what they are under columns"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
