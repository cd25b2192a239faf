"""The whole job file."""

import re
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from orchestrator.config.data import DataConfig, DataSource
from orchestrator.config.fusion import FusionConfig
from orchestrator.config.images import ImageBudget
from orchestrator.config.lora import LoraConfig
from orchestrator.config.model import ModelConfig
from orchestrator.config.places import (
    absolute,
    absolute_if_file,
    absolute_if_folder,
    absolute_uri,
)
from orchestrator.config.scale import ScaleConfig
from orchestrator.config.search import MEASURED_HELD_OUT, SearchConfig
from orchestrator.config.section import Section
from orchestrator.config.storage import StorageConfig
from orchestrator.config.tracking import TrackingConfig
from orchestrator.config.train import TrainConfig
from orchestrator.config.videos import VideoBudget

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

    videos: VideoBudget = VideoBudget()
    """What is taken from a video."""

    fusion: FusionConfig | None = None
    """How many images become few tokens; null gives the language model images as they are."""

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

    search: SearchConfig | None = None
    """What ``orchestrator search`` tries; all other commands pass over it."""

    @field_validator("fusion")
    @classmethod
    def _budget_has_room(
        cls, fusion: FusionConfig | None, info: ValidationInfo
    ) -> FusionConfig | None:
        # Not there if they are wrong themselves, which is said then.
        images = info.data.get("images")
        if fusion is not None and isinstance(images, ImageBudget):
            fusion.refuse_many(images.max_images)
        return fusion

    @field_validator("scale")
    @classmethod
    def _base_can_be_shared(cls, scale: ScaleConfig, info: ValidationInfo) -> ScaleConfig:
        train = info.data.get("train")
        if not isinstance(train, TrainConfig) or scale.workers_per_cell == 1:
            return scale
        # Those who share a base run its tower equally often, and forwards only.
        for name, value, off in (
            ("unfreeze", train.unfreeze, "none"),
            ("cache_features_gib", train.cache_features_gib, 0),
        ):
            if value != off:
                raise ValueError(
                    f"workers_per_cell: workers that share a base cannot do with train.{name} "
                    f"{value}: set workers_per_cell to 1, or train.{name} to {off}"
                )
        return scale

    @field_validator("search")
    @classmethod
    def _objectives_are_measured(
        cls, search: SearchConfig | None, info: ValidationInfo
    ) -> SearchConfig | None:
        data, train = info.data.get("data"), info.data.get("train")
        if search is None or not isinstance(data, DataConfig):
            return search
        held_out = [name for name in search.objectives if name in MEASURED_HELD_OUT]
        if held_out and data.eval is None:
            raise ValueError(
                f"objectives: {held_out[0]} is measured on held-out data: set data.eval"
            )
        is_measured = isinstance(train, TrainConfig) and train.eval_every_steps is not None
        if search.scheduler != "none" and not is_measured:
            raise ValueError(
                f"scheduler: {search.scheduler} looks at measurements under way: set "
                "train.eval_every_steps"
            )
        return search

    def resolved(self, cwd: Path) -> "Job":
        """The same job with every relative path seen from ``cwd`` made absolute.

        URLs stay as they are, and so does a model path that is no folder there: it is a hub
        id. ``media_dir`` is filled in. Resolving twice changes nothing.
        """
        return self.model_copy(
            update={
                "model": _with(self.model, path=absolute_if_folder(self.model.path, cwd)),
                "data": _resolved_data(self.data, cwd),
                "tracking": _with(self.tracking, uri=absolute_uri(self.tracking.uri, cwd)),
                "storage": _with(self.storage, path=absolute(self.storage.path, cwd)),
            }
        )


def _resolved_data(data: DataConfig, cwd: Path) -> DataConfig:
    held_out = tuple(_resolved_source(source, cwd) for source in data.held_out)
    return data.model_copy(
        update={
            "train": tuple(_resolved_source(source, cwd) for source in data.training),
            "eval": held_out or None,
            "roots": tuple(absolute(root, cwd) for root in data.roots),
        }
    )


def _resolved_source(source: DataSource, cwd: Path) -> DataSource:
    path = absolute(source.path, cwd)
    folder = source.media_dir or _media_folder(path)
    template = source.template and absolute_if_file(source.template, cwd)
    return _with(source, path=path, media_dir=absolute(folder, cwd), template=template)


def _media_folder(path: str) -> str:
    """Where images lie beside data: in its folder, or in the folder that it is."""
    fixed = re.split(r"[*?\[]", path)[0]
    if fixed != path:
        return fixed.rpartition("/")[0]
    is_folder = path.endswith("/") or Path(path).is_dir()
    return path.rstrip("/") if is_folder else DataSource(path=path).media_folder


def _with(section: S, **changes: str | None) -> S:
    return section.model_copy(update=changes)
