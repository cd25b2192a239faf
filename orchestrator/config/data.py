"""The ``data`` section: the conversations to learn from, and those held out."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.config.section import Section


def _is_no_url(path: str) -> str:
    if "://" in path:
        raise ValueError("data is read from folders; mount the bucket or copy it")
    return path


DataPath = Annotated[str, Field(min_length=1), AfterValidator(_is_no_url)]


class DataSource(Section):
    """One file of conversations, and the folder that its images are in."""

    path: DataPath
    """A .json file (one list) or a .jsonl file (one conversation a line), in a folder that
    every machine of the cluster reads."""

    media_dir: DataPath | None = None
    """Where image paths start, and what they may not leave. Left out: the file's folder."""

    @property
    def media_folder(self) -> str:
        """``media_dir``, or the folder of the data file where the job names none."""
        return str(Path(self.path).parent) if self.media_dir is None else self.media_dir


class DataConfig(Section):
    """What is learned from, and what is held out."""

    train: DataSource
    """Conversations to learn from."""

    eval: DataSource | None = None
    """Conversations to measure on, never learned from. Left out: nothing is measured."""
