"""The ``storage`` section: where runs are kept."""

from pydantic import Field

from orchestrator.config.section import Section


class StorageConfig(Section):
    """Where indexes, checkpoints, events and adapters go."""

    path: str = Field(default="runs", min_length=1)
    """A folder that every worker reaches, or a bucket: s3://bucket/folder, gs://bucket/folder."""
