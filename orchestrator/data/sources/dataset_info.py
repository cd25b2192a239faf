"""dataset_info.json as LLaMA-Factory's users write it: data sets by name, and their files."""

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from orchestrator.config.data import Columns, DataSource, Tags
from orchestrator.data.sources.json_lines import BOM, UNPARSABLE
from orchestrator.data.sources.opening import exists, joined, open_file
from orchestrator.errors import DataError

_HEAD_BYTES = 4096
_MOST_BYTES = 8 << 20
_ELSEWHERE = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_FORMATTINGS = ("alpaca", "sharegpt", "openai")
_PREFERENCES = ("chosen", "rejected", "kto_tag")
_UNSUPPORTED = ("tools", "audios")
_KNOWN = {
    *_ELSEWHERE, "file_name", "formatting", "ranking", "columns", "tags", "subset", "split",
    "folder", "num_samples",
}  # fmt: skip
_Entry = Mapping[str, Any]
_Problem = tuple[str, str]
"""What is wrong, and what to do about it."""


def is_dataset_info(url: str) -> bool:
    """Whether this is such a file, and neither data nor one of Hugging Face's own."""
    with open_file(url) as file:
        head = file.read(_HEAD_BYTES)
        if not head.removeprefix(BOM).lstrip().startswith(b"{"):
            return False
        text = head + file.read(_MOST_BYTES)
    try:
        found = json.loads(text)
    except UNPARSABLE:
        return False
    return isinstance(found, dict) and any(
        isinstance(entry, dict) and entry.keys() & {"file_name", *_ELSEWHERE}
        for entry in found.values()
    )


def entries_of(url: str, source: DataSource) -> list[DataSource]:
    """Read the data sets of a dataset_info.json that a job asks for.

    Args:
        url: The file.
        source: What the job says: ``datasets`` picks; its columns, tags and formatting win.

    Returns:
        One source for each, its path absolute.

    Raises:
        DataError: Any of them cannot be read; everything that is wrong has a line of its own.
    """
    with open_file(url) as file:
        entries: dict[str, Any] = json.loads(file.read())
    wanted = list(entries) if source.datasets is None else list(source.datasets)
    problems: list[DataError] = []
    for name in wanted:
        where = f"{url}: {name}"
        found = _unknown(entries) if name not in entries else _problems(entries[name], url)
        problems += [DataError(problem, where, fix) for problem, fix in found]
    if problems:
        raise _joined(problems)
    return [_merged(entries[name], url, source) for name in wanted]


def _merged(entry: _Entry, url: str, source: DataSource) -> DataSource:
    columns = {**_given(entry.get("columns")), **_given(source.columns.model_dump())}
    tags = {**_given(entry.get("tags")), **_given(source.tags.model_dump())}
    formatting = entry.get("formatting", "alpaca")
    return source.model_copy(
        update={
            "path": _place(entry, url),
            "datasets": None,
            "columns": Columns(**columns),
            "tags": Tags(**tags),
            "formatting": formatting if source.formatting == "auto" else source.formatting,
        }
    )


def _given(names: Mapping[str, Any] | None) -> dict[str, Any]:
    return {ours: theirs for ours, theirs in (names or {}).items() if theirs is not None}


def _place(entry: _Entry, url: str) -> str:
    """Where an entry's files are; a split of a saved data set is a folder in it."""
    place = joined(url.rpartition("/")[0] or "/", entry["file_name"])
    split = joined(place, entry.get("split") or "train")
    return split if exists(joined(place, "dataset_dict.json")) and exists(split) else place


def _unknown(entries: Mapping[str, Any]) -> Iterator[_Problem]:
    yield "no data set of this name", f"Use one of {', '.join(sorted(entries))}"


def _problems(entry: object, url: str) -> Iterator[_Problem]:
    if not isinstance(entry, dict):
        yield f"is {entry!r}", "Write an object with file_name"
        return
    if unknown := sorted(entry.keys() - _KNOWN):
        yield f"unknown {', '.join(unknown)}", f"Use {', '.join(sorted(_KNOWN))}"
    if entry.get("ranking"):
        yield (
            "ranking: true is preference data, and this trains on one answer",
            "Write the chosen answers as a data set of their own, without ranking",
        )
    yield from _problems_of_place(entry, url)
    yield from _problems_of_share(entry, url)
    yield from _problems_of_names(entry)


def _problems_of_place(entry: _Entry, url: str) -> Iterator[_Problem]:
    name = entry.get("file_name")
    if name is None:
        there = [key for key in _ELSEWHERE if entry.get(key)]
        yield (
            f"is at {there[0]}: {entry[there[0]]}" if there else "names no file",
            "Download it, and give its path as file_name" if there else "Give file_name",
        )
    elif not isinstance(name, str) or not name:
        yield f"file_name is {name!r}", "Write a path, as text"
    elif not exists(_place({**entry, "split": None}, url)):
        yield f"{name!r} is not there", "Correct file_name, or put the file there"


def _problems_of_share(entry: _Entry, url: str) -> Iterator[_Problem]:
    """What picks a share of a data set."""
    if entry.get("num_samples") is not None:
        yield (
            f"num_samples: {entry['num_samples']} is not supported",
            "Remove it, and give the data set a weight in the job",
        )
    if entry.get("subset") is not None:
        yield (
            f"subset: {entry['subset']} is of a data set on a hub",
            "Remove it, and give the subset's files as file_name",
        )
    split = entry.get("split") or "train"
    if split != "train" and not _has_split(entry, url):
        yield (
            f"split: {split} is not there",
            "Remove it, and give the split's files as file_name",
        )


def _has_split(entry: _Entry, url: str) -> bool:
    name = entry.get("file_name")
    return isinstance(name, str) and _place(entry, url) != _place({**entry, "split": "?"}, url)


def _problems_of_names(entry: _Entry) -> Iterator[_Problem]:
    formatting = entry.get("formatting", "alpaca")
    if formatting not in _FORMATTINGS:
        yield f"formatting is {formatting!r}", f"Use one of {', '.join(_FORMATTINGS)}"
    for field, known in (("columns", Columns.model_fields), ("tags", Tags.model_fields)):
        names = entry.get(field) or {}
        if not isinstance(names, dict):
            yield f"{field} is {names!r}", "Write an object of names"
            continue
        given = _given(names)
        for ours, theirs in given.items():
            if problem := _problem_of_name(ours, theirs, known):
                yield f"{field}.{ours}: {problem[0]}", problem[1]


def _problem_of_name(ours: str, theirs: object, known: Mapping[str, Any]) -> _Problem | None:
    if ours in _PREFERENCES:
        return "preference data, and this trains on one answer", "Name the response instead"
    if ours in _UNSUPPORTED:
        return f"{ours} are not supported", "Remove it"
    if ours not in known:
        return "unknown", f"Use one of {', '.join(known)}"
    if not isinstance(theirs, str):
        return f"is {theirs!r}", "Write a name, as text"
    return None


def _joined(problems: list[DataError]) -> DataError:
    """Several problems as one error whose text has a line for each."""
    return reduce(
        lambda a, b: DataError(
            f"{a.problem}. {a.fix}.\n{b.where}: {b.problem}", a.where, b.fix
        ),
        problems,
    )
