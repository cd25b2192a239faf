"""``train.micro_tokens: auto``: decided once, when a run begins, and kept from then on."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from orchestrator.cluster.devices import GIB, Device, smallest_device
from orchestrator.config.job import Job
from orchestrator.data.index import Index
from orchestrator.errors import ConfigError
from orchestrator.models.memory.activations import activations
from orchestrator.models.memory.budget import USABLE, Costs, Room
from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.resident import resident
from orchestrator.models.memory.shape import ModelShape, read_shape
from orchestrator.models.memory.sketch import Sketch
from orchestrator.storage import Store
from orchestrator.train.manifest import read_manifest


def longest_allowed(job: Job) -> int:
    """Tokens above which a sample is quarantined.

    With auto it is what the model was made for, on every machine: which samples a run has must
    not depend on where it began.

    Raises:
        ModelError: The model's configuration cannot be read.
    """
    if job.train.micro_tokens != "auto":
        return job.train.micro_tokens
    return read_shape(job.model.path, job.model.revision).context


def settle(job: Job, indexes: Iterable[Index]) -> int:
    """The token budget of a run: as the job says, as it was begun with, or picked now.

    Args:
        job: The resolved job. A Ray session is open.
        indexes: Of its training data first, then of its held-out data if there is any.

    Raises:
        ConfigError: Not even the longest sample fits, or no machine tells its memory.
        ModelError: The model's configuration cannot be read.
        StorageError: The run's manifest cannot be read.
    """
    if job.train.micro_tokens != "auto":
        return job.train.micro_tokens
    begun = read_manifest(Store.open(job.storage.path).child(job.name))
    if begun is not None:
        # Also if it began with a number: the manifest then says what has changed.
        return begun.micro_tokens
    shape = read_shape(job.model.path, job.model.revision)
    return pick(job, shape, [*indexes], smallest_device(job))


def pick(job: Job, shape: ModelShape, indexes: list[Index], device: Device) -> int:
    """Pick the token budget for a device.

    It is at least the longest sample. It is at most what leaves every worker a micro-batch:
    a step's tokens, shared out among the most workers.

    Raises:
        ConfigError: Not even the longest sample fits.
    """
    room = room_of(job, shape, device)
    costs = [costs_of(job, shape, index) for index in indexes]
    for each in costs:
        _refuse_large(job, room, each, device)
    longest = max(int(each.tokens_N.max()) for each in costs)
    step_tokens = job.train.global_batch * float(np.mean(costs[0].tokens_N))
    most = math.ceil(step_tokens / job.scale.cells[1])
    return min(room.budget(each, least=longest, most=most) for each in costs)


def room_of(job: Job, shape: ModelShape, device: Device) -> Room:
    """A device, and a job's way to train."""
    recipe = Recipe.of(job, width=shape.text.width, on_gpu=device.on_gpu)
    return Room(shape, recipe, device.memory_bytes)


def costs_of(job: Job, shape: ModelShape, index: Index) -> Costs:
    """What memory depends on, of an index."""
    weights = [source.weight for source in job.data.training]
    pixels = max(job.images.max_pixels, job.videos.max_pixels)
    return Costs(
        tokens_N=np.asarray(index.tokens_N),
        labels_N=np.asarray(index.label_tokens_N),
        patches_N=np.asarray(index.patches_N),
        images=index.summary.num_images,
        largest_patches=pixels // (shape.tower.pixel_bytes // 3),
        times=math.ceil(max([1.0, *weights])),
    )


def _refuse_large(job: Job, room: Room, costs: Costs, device: Device) -> None:
    row = costs.sample(int(np.argmax(costs.tokens_N)), room.shape.tower.merge)
    if room.has(row):
        return
    standing = resident(room.shape, room.recipe).total
    alone = activations(room.shape, room.recipe, row).peak
    raise ConfigError(
        f"the longest sample ({row.tokens} tokens, {row.images} images) needs "
        f"{_gib(alone)} beside {_gib(standing)} for model and optimizer; of the smallest "
        f"device's {_gib(device.memory_bytes)} ({device.told_by}), {USABLE:.0%} are reckoned "
        "with",
        "train.micro_tokens",
        _remedies(job, room, row),
    )


def _remedies(job: Job, room: Room, row: Sketch) -> str:
    """What would make a row fit, each by itself."""
    recipe, shape = room.recipe, room.shape
    ways: dict[str, tuple[Recipe, Sketch]] = {
        "set train.recompute to true": (replace(recipe, recompute=True), row),
        "set train.offload to true": (
            replace(recipe, recompute=True, offload=recipe.on_gpu),
            row,
        ),
        "set train.unfreeze to none": (replace(recipe, unfreeze="none"), row),
        f"halve images.max_pixels ({job.images.max_pixels})": (recipe, _halved(row)),
        f"set fusion.budget to {row.image_tokens // 4}": (recipe, _fused(row)),
    }
    members = 2 * recipe.members
    if recipe.unfreeze == "none" and not recipe.caches:
        shared = replace(recipe, members=members)
        ways[f"set scale.workers_per_cell to {members}"] = (shared, row)
    fitting = [
        way
        for way, (other, less) in ways.items()
        if (other, less) != (recipe, row) and replace(room, recipe=other).has(less)
    ]
    if not fitting:
        return f"Use devices of {_gib(room.needed_bytes(row) / USABLE)}, or a smaller model"
    fitting.append(f"use devices of {_gib(Room(shape, recipe, 0).needed_bytes(row) / USABLE)}")
    told = ", or ".join(fitting)
    return told[0].upper() + told[1:]


def _halved(row: Sketch) -> Sketch:
    return replace(
        _fewer(row, row.fused_tokens // 2),
        patches=row.patches // 2,
        chunk_patches=row.chunk_patches // 2,
        largest_patches=row.largest_patches // 2,
        image_tokens=row.image_tokens // 2,
    )


def _fused(row: Sketch) -> Sketch:
    return _fewer(row, min(row.fused_tokens, row.image_tokens // 4))


def _fewer(row: Sketch, fused_tokens: int) -> Sketch:
    tokens = row.tokens - row.fused_tokens + fused_tokens
    return replace(row, tokens=tokens, fused_tokens=fused_tokens)


def _gib(size: float) -> str:
    return f"{size / GIB:.2g} GiB" if size < GIB else f"{size / GIB:.1f} GiB"
