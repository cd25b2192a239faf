"""The hand-out on a private Ray: bounded, at any cursor, and the same whoever renders."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from orchestrator.cluster.fetching import HandOutClient
from orchestrator.cluster.handout import TASK_MICROS, Course, HandOut
from orchestrator.cluster.internals import start_on_head
from orchestrator.data.micro_batch import MicroBatch
from tests.made_course import Telling, colours, make_course

StartHandOut = Callable[..., HandOutClient]
SIDE = 560
PICTURE_BYTES = 3 * SIDE * SIDE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def start(session: None) -> Iterator[StartHandOut]:
    del session
    actors = []

    def start_one(course: Course, most_bytes: int | None = None) -> HandOutClient:
        actor = start_on_head(
            HandOut, {"train": course}, frozenset(), most_bytes, max_concurrency=8
        )
        actors.append(actor)
        return HandOutClient(actor)

    yield start_one
    for actor in actors:
        ray.kill(actor)


def fetch(client: HandOutClient, step: int, micro: int) -> MicroBatch:
    plan = client.step_plan("train", step)
    return MicroBatch.from_table(client.fetch_table("train", plan.address(micro)))


def settled(medium: Telling, quiet_s: float = 1.5) -> int:
    """Pictures loaded, once no more are."""
    before, seen_s = -1, time.monotonic()
    while time.monotonic() - seen_s < quiet_s:
        if medium.num_loaded() != before:
            before, seen_s = medium.num_loaded(), time.monotonic()
        time.sleep(0.1)
    return before


def test_a_whole_epoch_comes_by_address_each_micro_batch_as_planned(
    start: StartHandOut, tmp_path: Path
) -> None:
    course, _ = make_course(tmp_path, 48)
    client, plan = start(course), course.open()[1]
    for step in range(plan.num_steps):
        expected = [micro.samples for micro in plan.step(step).micros]
        found = [fetch(client, step, micro) for micro in reversed(range(len(expected)))][::-1]
        assert [batch.samples for batch in found] == expected
        assert [colours(batch) for batch in found] == [[*samples] for samples in expected]


def test_a_consumer_that_stops_stops_the_rendering_at_so_many_bytes(
    start: StartHandOut, tmp_path: Path
) -> None:
    course, medium = make_course(tmp_path, 400, side=SIDE)
    client = start(course, most_bytes=12 * PICTURE_BYTES)
    assert fetch(client, 0, 0).address.step == 0
    # As much again is Ray Data's, and of what its tasks have begun; 400 are wanted.
    assert settled(medium) <= 2 * 12 + TASK_MICROS
    # And it goes on where it stopped.
    assert [fetch(client, step, 0).address.step for step in range(20)] == [*range(20)]


def test_a_resume_at_a_late_cursor_opens_nothing_of_what_lies_before(
    start: StartHandOut, tmp_path: Path
) -> None:
    course, medium = make_course(tmp_path, 400)
    client, plan = start(course), course.open()[1]
    late = plan.num_steps - 3
    assert fetch(client, late, 0).address.step == late
    # Nor does it go back for one that was frozen meanwhile and expects to go on there.
    assert client.step_plan("train", 3, is_begun=False).step == 3
    settled(medium)
    opened = {int(name) for name in medium.told.read_text().split()}
    to_come = {
        sample
        for step in plan.steps_from(late)
        for micro in step.micros
        for sample in micro.samples
    }
    # Rendered ahead, or by the test itself where that took long: of nothing else.
    assert opened == to_come
