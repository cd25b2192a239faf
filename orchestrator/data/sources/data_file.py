"""One file of a data set, and what is known of how it is written."""

from dataclasses import dataclass

from orchestrator.config.data import DataSource


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file to read."""

    url: str
    """Absolute path, or URL."""

    source: DataSource
    """What the job says of it, and what a dataset_info.json adds."""

    only_named: bool = False
    """Where columns are named, others of a usual name are left alone."""
