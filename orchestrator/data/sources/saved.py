"""Folders that Hugging Face's ``datasets`` wrote with ``save_to_disk``."""

import json

from orchestrator.data.sources.json_lines import UNPARSABLE
from orchestrator.data.sources.opening import joined, open_file
from orchestrator.errors import DataError

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_AGAIN = "Save the data set again with save_to_disk"


def saved_files(folder: str, names: list[str]) -> list[str] | None:
    """Give the files of a saved data set, in its order.

    Args:
        folder: A folder.
        names: What it holds.

    Returns:
        None where the folder is none that ``datasets`` wrote.

    Raises:
        DataError: It holds several splits, or one that cannot be followed.
    """
    if _SPLITS in names:
        splits = _read(joined(folder, _SPLITS)).get("splits") or []
        known = [str(split) for split in splits]
        raise DataError(
            f"holds the splits {', '.join(known) or 'of a data set'}",
            folder,
            f"Name one of them: path: {joined(folder, known[0] if known else 'train')}",
        )
    if _STATE not in names or not any(name.endswith(".arrow") for name in names):
        return None
    state = _read(joined(folder, _STATE))
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(
            "is a selection of rows that was not written out", folder, f"{_AGAIN}, flattened"
        )
    listed = [one.get("filename") for one in state.get("_data_files") or []]
    files = [str(name) for name in listed if name in names]
    if not files or len(files) < len(listed):
        raise DataError(f"misses data files that its {_STATE} names", folder, _AGAIN)
    return [joined(folder, name) for name in files]


def _read(url: str) -> dict[str, list[dict[str, str]]]:
    with open_file(url) as file:
        text = file.read()
    try:
        found = json.loads(text)
    except UNPARSABLE as error:
        raise DataError("is not JSON", url, _AGAIN) from error
    if not isinstance(found, dict):
        raise DataError("is no JSON object", url, _AGAIN)
    return found
