"""``orchestrator plan``: what groups of each number of images cost, and whether it all fits.

Letters: N samples.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.cluster.devices import Device, smallest_device, uses_gpu
from orchestrator.cluster.forecast import sampled_steps
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.resolving import costs_of, room_of
from orchestrator.data.index import Index
from orchestrator.errors import ConfigError
from orchestrator.models.memory.activations import activations
from orchestrator.models.memory.budget import USABLE, Costs, Room
from orchestrator.models.memory.resident import resident
from orchestrator.models.memory.shape import read_shape
from orchestrator.models.memory.sketch import Sketch, join
from orchestrator.models.memory.work import work

MB = 1e6


@dataclass(frozen=True, slots=True)
class GroupCost:
    """All groups of one number of images; what one of them costs, on average."""

    images: int
    groups: int
    tokens: float
    """In the language model."""
    patches: float
    saved_mb: float
    """Kept between forward and backward, where it is alone in a micro-batch."""
    peak_mb: float
    """At most, beside what is always there."""
    tflop: float
    """Forward and backward, with what is done twice to save memory."""
    seconds: float | None
    """By ``scale.device_tflops``; None without it."""


@dataclass(frozen=True, slots=True)
class Costing:
    """What a training asks of a device."""

    groups: tuple[GroupCost, ...]
    standing_mb: float
    """Weights, optimizer and exact sums."""
    largest_peak_mb: float
    """Of the largest micro-batch, beside that."""
    usable_mb: float | None
    """What the smallest device has, less a margin; None where nobody tells."""
    device: str
    """Who tells."""

    @property
    def needed_mb(self) -> float:
        """Both together."""
        return round(self.standing_mb + self.largest_peak_mb, 1)

    @property
    def fits(self) -> bool | None:
        """Whether the largest micro-batch fits the smallest device; None if that is unknown."""
        if self.usable_mb is None:
            return None
        return self.needed_mb <= self.usable_mb


def cost(prepared: Prepared) -> Costing:
    """Forecast the costs of a job's training from its index. A Ray session is open.

    Raises:
        ModelError: The model's configuration cannot be read.
    """
    job = prepared.job
    shape = read_shape(job.model.path, job.model.revision)
    try:
        device = smallest_device(job)
    except ConfigError as error:
        device = Device(0, uses_gpu(job), error.problem)
    room = room_of(job, shape, device)
    index, plan = prepared.courses["train"].open()
    costs = costs_of(job, shape, index)
    return Costing(
        groups=tuple(_groups(room, index, costs, job.scale.device_tflops)),
        standing_mb=_mb(resident(shape, room.recipe).total),
        largest_peak_mb=_mb(
            max(
                activations(shape, room.recipe, _row(costs, micro.samples, room)).peak
                for step in sampled_steps(plan)
                for micro in step.micros
            )
        ),
        usable_mb=_mb(device.memory_bytes * USABLE) if device.memory_bytes else None,
        device=device.told_by,
    )


def _groups(
    room: Room, index: Index, costs: Costs, device_tflops: float | None
) -> list[GroupCost]:
    images_N = index.count_images()
    found = []
    for images in np.unique(images_N).tolist():
        places = np.flatnonzero(images_N == images)
        means = [
            float(column_N[places].mean())
            for column_N in (costs.tokens_N, costs.labels_N, costs.patches_N)
        ]
        row = _mean_row(room, costs, means, images)
        expected = activations(room.shape, room.recipe, row)
        done = work(room.shape, room.recipe, row)
        found.append(
            GroupCost(
                images=images,
                groups=len(places),
                tokens=round(means[0], 1),
                patches=round(means[2], 1),
                saved_mb=_mb(expected.saved),
                peak_mb=_mb(expected.peak),
                tflop=float(f"{done.total / 1e12:.3g}"),
                seconds=device_tflops and float(f"{done.seconds(device_tflops):.3g}"),
            )
        )
    return found


def _mean_row(room: Room, costs: Costs, means: list[float], images: int) -> Sketch:
    tokens, labels, patches = (np.array([round(mean)]) for mean in means)
    each = -(-int(patches[0]) // max(1, images))
    alone = Costs(tokens, labels, patches, images, min(each, costs.largest_patches))
    return alone.sample(0, room.shape.tower.merge)


def _row(costs: Costs, samples: tuple[int, ...], room: Room) -> Sketch:
    merge = room.shape.tower.merge
    return join(costs.sample(sample, merge) for sample in samples)


def _mb(size: float) -> float:
    return round(size / MB, 1)
