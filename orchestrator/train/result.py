"""What a finished run leaves for others: the adapter, or base and adapter as one model."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.config.job import Job
from orchestrator.errors import InputError
from orchestrator.models.export import save_merged
from orchestrator.storage import Store

ADAPTER = "adapter"
"""Folder of the run with the adapter as stock PEFT reads it."""


@contextmanager
def local_adapter(store: Store) -> Iterator[Path]:
    """A run's adapter as files on this machine, for as long as the block takes.

    Raises:
        InputError: The run has none yet.
    """
    names = store.list(ADAPTER)
    if not names:
        raise InputError(
            "the run has no adapter yet", store.url, "Train it to its end: orchestrator train"
        )
    with tempfile.TemporaryDirectory() as copied:
        for name in names:
            target = Path(copied) / name.removeprefix(f"{ADAPTER}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(store.read(name))
        yield Path(copied)


def export_run(job: Job, folder: Path, *, merged: bool) -> list[str]:
    """Write a run's result to a folder.

    Args:
        job: The resolved job.
        folder: New or empty; what is there is not written over.
        merged: Write base and adapter as one model instead of the adapter alone.

    Returns:
        Names of the files written.

    Raises:
        InputError: The run has no adapter yet, or the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is there and not empty", str(folder), "Name a new folder")
    store = Store.open(job.storage.path).child(job.name)
    with local_adapter(store) as adapter:
        folder.mkdir(parents=True, exist_ok=True)
        if merged:
            save_merged(job.model.path, adapter, folder, job.model.revision)
        else:
            for file in sorted(adapter.iterdir()):
                (folder / file.name).write_bytes(file.read_bytes())
    return sorted(file.name for file in folder.iterdir())
