"""Which files a data set is made of."""

from orchestrator.config.data import DataSource
from orchestrator.data.sources.data_file import DataFile
from orchestrator.data.sources.dataset_info import entries_of, is_dataset_info
from orchestrator.data.sources.kinds import is_named_as_data
from orchestrator.data.sources.opening import (
    absolute,
    exists,
    is_folder,
    joined,
    matches,
    names_in,
)
from orchestrator.data.sources.saved import saved_files
from orchestrator.errors import DataError

_INFO = "dataset_info.json"
_PATTERN = "*?["


def files_of(source: DataSource) -> list[DataFile]:
    """Find the files of a data set, in its order.

    Raises:
        DataError: There are none, or a dataset_info.json cannot be followed.
        OSError: A folder cannot be listed.
    """
    path = absolute(source.path)
    info = joined(path, _INFO) if is_folder(path) else path
    if info.endswith(".json") and exists(info) and is_dataset_info(info):
        return [
            DataFile(url, entry, only_named=True)
            for entry in entries_of(info, source)
            for url in _expanded(entry.path)
        ]
    if source.datasets is not None:
        raise DataError(
            "is no dataset_info.json, and datasets picks some of one",
            source.path,
            "Give the path of the dataset_info.json, or leave datasets out",
        )
    return [DataFile(url, source) for url in _expanded(path)]


def _expanded(path: str) -> list[str]:
    """Files behind a file's, a folder's or a pattern's name."""
    if is_folder(path):
        return _in_folder(path)
    # In the address of a page, a question mark is none.
    letters = _PATTERN.replace("?", "") if path.startswith("http") else _PATTERN
    if exists(path) or not any(letter in path for letter in letters):
        return [path]
    found = matches(path)
    if not found:
        raise DataError("matches no file", path, "Correct the pattern")
    return [url for one in found for url in (_in_folder(one) if is_folder(one) else [one])]


def _in_folder(folder: str) -> list[str]:
    names = names_in(folder)
    saved = saved_files(folder, names)
    if saved is not None:
        return saved
    found = [name for name in names if is_named_as_data(name) and name != _INFO]
    if not found:
        held = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise DataError(
            f"is a folder without a data file; it holds {held or 'nothing'}",
            folder,
            "Put JSON, JSONL, CSV, Parquet, Arrow or tar files there, or name another folder",
        )
    return [joined(folder, name) for name in found]
