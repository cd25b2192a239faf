"""The whole job file."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field

from orchestrator.config.data import DataConfig, DataSource
from orchestrator.config.images import ImageBudget
from orchestrator.config.lora import LoraConfig
from orchestrator.config.model import ModelConfig
from orchestrator.config.places import absolute, absolute_if_folder, absolute_uri
from orchestrator.config.scale import ScaleConfig
from orchestrator.config.section import Section
from orchestrator.config.storage import StorageConfig
from orchestrator.config.tracking import TrackingConfig
from orchestrator.config.train import TrainConfig

S = TypeVar("S", bound=Section)

# The name becomes a folder, an object-store key and an MLflow run.
SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Job(Section):
    """One fine-tuning: a base model, conversations, a recipe, and where it may run."""

    name: SafeName
    """Names the run and its folder: letters, digits, '.', '_' and '-'. Starting
    a job of the same name again resumes it."""

    model: ModelConfig
    """The base model."""

    data: DataConfig
    """The conversations."""

    images: ImageBudget = ImageBudget()
    """What images may cost."""

    lora: LoraConfig = LoraConfig()
    """The adapter."""

    train: TrainConfig = TrainConfig()
    """The recipe."""

    scale: ScaleConfig = ScaleConfig()
    """Workers."""

    tracking: TrackingConfig = TrackingConfig()
    """The record."""

    storage: StorageConfig = StorageConfig()
    """Where runs are kept."""

    def resolved(self, cwd: Path) -> "Job":
        """The same job with every relative path seen from ``cwd`` made absolute.

        URLs stay as they are, and so does a model path that is no folder there: it is a hub
        id. ``media_dir`` is filled in. Resolving twice changes nothing.
        """
        held_out = self.data.eval and _resolved_source(self.data.eval, cwd)
        return self.model_copy(
            update={
                "model": _with(self.model, path=absolute_if_folder(self.model.path, cwd)),
                "data": DataConfig(train=_resolved_source(self.data.train, cwd), eval=held_out),
                "tracking": _with(self.tracking, uri=absolute_uri(self.tracking.uri, cwd)),
                "storage": _with(self.storage, path=absolute(self.storage.path, cwd)),
            }
        )


def _resolved_source(source: DataSource, cwd: Path) -> DataSource:
    path = absolute(source.path, cwd)
    if source.media_dir is None:
        return _with(source, path=path, media_dir=DataSource(path=path).media_folder)
    return _with(source, path=path, media_dir=absolute(source.media_dir, cwd))


def _with(section: S, **changes: str) -> S:
    return section.model_copy(update=changes)
