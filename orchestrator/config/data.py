"""The ``data`` section: the conversations to learn from, and those held out."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, PositiveFloat, Tag

from orchestrator.config.section import Section

Place = Annotated[str, Field(min_length=1)]


class Columns(Section):
    """Names of a file's columns, as in ``dataset_info.json``. Left out: the usual names."""

    messages: str | None = None
    """The turns, in sharegpt and openai files: conversations or messages."""

    prompt: str | None = None
    """The instruction, in alpaca files: instruction or prompt."""

    query: str | None = None
    """What the instruction is applied to, in alpaca files: input or query."""

    response: str | None = None
    """The answer, in alpaca files: output or response."""

    history: str | None = None
    """Earlier rounds, in alpaca files: a list of pairs."""

    system: str | None = None
    """What is said to the model first."""

    images: str | None = None
    """The images: one or a list, as paths, bytes or base64."""

    videos: str | None = None
    """The videos: one or a list."""


class Tags(Section):
    """Names inside a turn, as in ``dataset_info.json``. Left out: the usual names."""

    role_tag: str | None = None
    """The key of the speaker: from or role."""

    content_tag: str | None = None
    """The key of what is said: value or content."""

    user_tag: str | None = None
    """What the person is called: human or user."""

    assistant_tag: str | None = None
    """What the model is called: gpt or assistant."""

    observation_tag: str | None = None
    """What a tool's answer is called: observation or tool."""

    function_tag: str | None = None
    """What the model's call of a tool is called: function_call."""

    system_tag: str | None = None
    """What the system's turn is called: system."""


class DataSource(Section):
    """One data set of conversations, and where its images are."""

    path: Place
    """A file (JSON, JSONL, CSV, Parquet, Arrow, a WebDataset tar), a folder or pattern of
    them, a Hugging Face data set saved to disk, a dataset_info.json, or a URL of one of these
    that fsspec opens. Every machine of the cluster has to reach it."""

    datasets: tuple[str, ...] | None = None
    """Which data sets of a dataset_info.json to read. Left out: all of them."""

    media_dir: Place | None = None
    """Where image paths start, and what they may not leave. Left out: the file's folder."""

    formatting: Literal["auto", "sharegpt", "alpaca", "openai"] = "auto"
    """How a row is written. auto tells it by its columns."""

    columns: Columns = Columns()
    """Columns by other names than the usual ones."""

    tags: Tags = Tags()
    """Keys and speakers by other names than the usual ones."""

    template: str | None = None
    """An instruction template that the first user turn is put into: comparison, multi_view,
    temporal or vqa (each also with _zh behind it), or a text file of your own."""

    weight: PositiveFloat = 1.0
    """How often its samples are used in an epoch: with 2 each twice, with 0.5 every second."""

    @property
    def media_folder(self) -> str:
        """``media_dir``, or the folder of the data file where the job names none."""
        if self.media_dir is not None:
            return self.media_dir
        scheme, separator, rest = self.path.rpartition("://")
        return scheme + separator + str(PurePosixPath(rest).parent)


def _how_many(given: object) -> str:
    return "many" if isinstance(given, list | tuple) else "one"


def _is_not_empty(sources: tuple[DataSource, ...]) -> tuple[DataSource, ...]:
    if not sources:
        raise ValueError("an empty list, where a data set should be")
    return sources


Sources = Annotated[
    Annotated[DataSource, Tag("one")]
    | Annotated[tuple[DataSource, ...], AfterValidator(_is_not_empty), Tag("many")],
    Discriminator(_how_many),
]
"""One data set, or a list of them that are mixed."""


class DataConfig(Section):
    """What is learned from, and what is held out."""

    train: Sources
    """Conversations to learn from: one data set, or a list of them that are mixed."""

    eval: Sources | None = None
    """Conversations to measure on, never learned from. Left out: nothing is measured."""

    roots: tuple[Place, ...] = ()
    """Folders and buckets beside media_dir that image paths may lead into."""

    hosts: tuple[str, ...] = ()
    """Hosts that images may be fetched from by https. Left out: none."""

    @property
    def training(self) -> tuple[DataSource, ...]:
        """The data sets of ``train``, one or many."""
        return _listed(self.train)

    @property
    def held_out(self) -> tuple[DataSource, ...]:
        """The data sets of ``eval``, if any."""
        return () if self.eval is None else _listed(self.eval)


def _listed(sources: DataSource | tuple[DataSource, ...]) -> tuple[DataSource, ...]:
    return (sources,) if isinstance(sources, DataSource) else sources
