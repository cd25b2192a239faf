"""Media behind URLs are fetched side by side, and a micro-batch is the same for it."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.media.medium import ImageSize, Probed, Targets
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.render import REMOTE_AT_ONCE, Renderer, render
from orchestrator.data.rows import RenderMedium, RenderRow
from orchestrator.errors import StorageError
from orchestrator.plan.steps import Address

TARGET = (16, 32)


@dataclass
class Slow:
    """A picture of one colour, that comes only when ``together`` of them are asked for."""

    together: int = 1
    running: int = 0
    most: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def probe(self, content: Content, /) -> Probed:
        del content
        return Probed((ImageSize(32, 16),))

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        return tuple(coder.target_size(size.height, size.width) for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.lock.notify_all()
            assert self.lock.wait_for(lambda: self.most >= self.together, timeout=5)
            self.running -= 1
        if content.name == "torn":
            raise BadSampleError("image 'torn' cannot be decoded", "Write it again")
        if content.name == "silent":
            raise StorageError("does not answer", "s3://bucket", "Look")
        return [np.full((h, w, 3), int(content.name), np.uint8) for h, w in targets]


def row(sample: int, *urls: str) -> RenderRow:
    media = tuple(RenderMedium("image", Location(url), (TARGET,)) for url in urls)
    return RenderRow(sample, str(sample), np.array([1], np.int32), np.array([True]), media)


def first_bytes(rows: list[RenderRow], medium: Slow, coder: ImageCoder) -> list[int]:
    batch = render(rows, Address(0, 0, 0), Renderer(coder, {"image": medium}))
    return [int(patch[0]) for patch in batch.patches_PD[:: coder.num_patches(*TARGET)]]


def test_remote_media_of_all_samples_are_asked_for_at_once_and_come_in_order(
    coder: ImageCoder,
) -> None:
    rows = [row(0, "s3://b/1", "s3://b/2"), row(1, "/local/3"), row(2, "s3://b/4")]
    assert first_bytes(rows, Slow(together=3), coder) == [1, 2, 3, 4]


def test_no_more_are_asked_for_than_a_store_should_bear(coder: ImageCoder) -> None:
    medium = Slow(together=REMOTE_AT_ONCE)
    numbers = range(3 * REMOTE_AT_ONCE)
    rows = [row(number, f"s3://b/{number}") for number in numbers]
    assert first_bytes(rows, medium, coder) == list(numbers)
    assert medium.most == REMOTE_AT_ONCE


def test_local_media_are_read_in_turn(coder: ImageCoder) -> None:
    medium = Slow()
    assert first_bytes([row(0, "/a/1", "/a/2"), row(1, "/a/3")], medium, coder) == [1, 2, 3]
    assert medium.most == 1


def test_a_torn_remote_picture_empties_its_own_slot(coder: ImageCoder) -> None:
    rows = [row(0, "s3://b/1", "s3://b/torn"), row(1, "s3://b/3")]
    renderer = Renderer(coder, {"image": Slow()})
    batch = render(rows, Address(0, 0, 0), renderer)
    assert [fault.sample for fault in batch.faults] == [0]
    assert batch.samples == (1,)
    assert set(np.unique(batch.patches_PD)) == {3}


def test_a_store_that_is_silent_ends_the_rendering(coder: ImageCoder) -> None:
    with pytest.raises(StorageError, match="does not answer"):
        first_bytes([row(0, "s3://b/silent", "s3://b/1")], Slow(), coder)
