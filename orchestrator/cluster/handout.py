"""Micro-batches, rendered ahead by Ray Data and handed out by address.

One actor, on the head node, follows the plan from the step that the trainers are at, keeps a
bounded window of rendered blocks ahead of them, and gives out references. It does not care who
asks, in what order, or how many there are. What a lost node took with it is rendered again.

However long nobody asks: an eighth of the cluster's object store is kept here, and up to two
more by Ray Data of what comes next.
"""

import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from orchestrator.cluster.internals import block_refs
from orchestrator.cluster.rendering import render_each
from orchestrator.cluster.window import Window
from orchestrator.data.index import Index
from orchestrator.data.render import Renderer, request_table
from orchestrator.data.rows import RenderRow
from orchestrator.data.shards import ShardMap
from orchestrator.plan.steps import Address, Part, Plan, Slot, StepPlan

WINDOW = 32
"""Micro-batches rendered ahead of the trainers, at most."""
STORE_SHARE = 1 / 8
"""Part of the cluster's object store for the window, and as much for what Ray Data holds."""
FIRST_SEGMENT, SEGMENT = 16, 256
"""Micro-batches that one Ray Data pipeline renders; the next one starts as it runs dry. The
first has few: all of a segment are asked for before any is rendered."""
TASK_BYTES = 64 << 20
TASK_MICROS = 8
"""What one task renders, each micro-batch a block of its own: enough that starting the task
does not count."""
COLD_S = 15.0
READY_S = 0.5
STALLED_S = 0.02
"""How long a micro-batch is waited for: while the pipeline starts, while it delivers, and once
it was found to have stalled, until it delivers again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Course:
    """One part of a job's data: what is planned over which index."""

    index_dir: Path
    plan: dict[str, Any]
    """What ``Plan`` takes beside the index's columns."""
    spec: Renderer
    shards: Path | None = None
    """Where the map of pictures at the job's size is, if there is one."""

    def open(self) -> tuple[Index, Plan]:
        """The index, memory-mapped, and the plan over it."""
        index = Index.open(self.index_dir)
        return index, Plan(tokens_N=index.tokens_N, cost_N=index.cost_N, **self.plan)


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A micro-batch that is to be rendered."""

    address: Address
    request: pa.Table
    num_bytes: int
    """Of its pixels, which is what it takes once rendered, or nearly."""

    @classmethod
    def of(cls, address: Address, rows: Sequence[RenderRow]) -> "Wanted":
        """Ask for rows as a micro-batch: some hundred bytes a sample."""
        targets = [hw for row in rows for medium in row.media for hw in medium.targets]
        num_bytes = sum(3 * height * width for height, width in targets)
        return cls(address, request_table(address, rows), num_bytes)


class Stream:
    """A window of rendered micro-batches that moves along one course.

    Args:
        course: What to render.
        left_out: Slots that stay empty whatever their files hold now.
        most_bytes: The most that the window may hold; None for ``store_share``.
        patience_s: How long the first micro-batch is waited for.
    """

    def __init__(
        self,
        course: Course,
        left_out: frozenset[Slot],
        most_bytes: int | None = None,
        patience_s: float = COLD_S,
    ) -> None:
        self._index, self.plan = course.open()
        self._shards = ShardMap.open(course.shards) if course.shards else None
        self.spec = course.spec
        self._left_out = left_out
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._window: Window[Any] = Window(most_ahead=WINDOW, most_bytes=0)
        self._generation = 0
        self._rendering = range(0)
        self._patience_s = patience_s

    def request(self, plan: StepPlan, micro: int) -> pa.Table:
        """What a rendering task is given."""
        return self._wanted(plan, micro).request

    def _wanted(self, plan: StepPlan, micro: int) -> Wanted:
        rows = self._index.rows(
            [
                sample
                for sample in plan.micros[micro].samples
                if (plan.epoch, plan.step, sample) not in self._left_out
            ]
        )
        return Wanted.of(
            plan.address(micro), self._shards.apply(rows) if self._shards else rows
        )

    def move_to(self, step: int, *, is_begun: bool) -> StepPlan:
        """Tell the window that the trainers are at ``step``; start it there if it is not.

        Args:
            step: Counts from 0.
            is_begun: The trainers have agreed to do it, and do not only expect to. Otherwise
                the window does not move back: whoever asks may have been frozen for long.
        """
        with self._changed:
            # Back to the start: another evaluation over the same data.
            if not self._covers(step) and (is_begun or not self._rendering):
                self._restart(step)
            if self._covers(step):
                self._window.move_to(step)
            self._changed.notify_all()
        return self.plan.step(step)

    def _restart(self, step: int) -> None:
        self._generation += 1
        self._window.restart(step)
        self._rendering = range(step, self.plan.num_steps)
        threading.Thread(target=self._fill, args=(step, self._generation), daemon=True).start()

    def _fill(self, step: int, generation: int) -> None:
        wanted = (
            self._wanted(plan, micro)
            for plan in self.plan.steps_from(step)
            for micro in range(len(plan.micros))
        )
        try:
            most_bytes = self._most_bytes or store_share()
            self._window.most_bytes = most_bytes
            self._keep_filled(_render_ahead(wanted, self.spec, most_bytes), generation)
        except Exception:
            # Whoever asks next renders alone, and meets the error where it can be answered.
            log.exception("rendering ahead ended")
            with self._changed:
                self._rendering = range(0)
                self._changed.notify_all()

    def _keep_filled(self, rendered: Iterator[tuple[Wanted, Any]], generation: int) -> None:
        for wanted, ref in rendered:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._window.has_room() or generation != self._generation
                )
                if generation != self._generation:
                    return
                self._patience_s = READY_S
                if wanted.address.step < self._window.floor - 1:
                    # The trainers are ahead of us, rendering for themselves: what we make for
                    # steps gone by is of no use to anybody.
                    self._restart(self._window.floor + 1)
                    return
                self._window.put(wanted.address, ref, wanted.num_bytes)
                self._changed.notify_all()

    def _covers(self, step: int) -> bool:
        return step in self._rendering and step >= self._window.floor

    def take(self, address: Address) -> Any | None:  # noqa: ANN401 - an object reference
        """A rendered micro-batch's reference; None where it is not to be had in good time."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: address in self._window or not self._covers(address.step),
                timeout=self._patience_s,
            )
            if not came:
                # One wait is enough to know that rendering has stalled.
                self._patience_s = STALLED_S
            taken = self._window.take(address)
            # What was taken may make room.
            self._changed.notify_all()
            return taken


def store_share() -> int:
    """Bytes that one stream's window may take."""
    return int(STORE_SHARE * ray.cluster_resources().get("object_store_memory", 0))


def tasks_of(segment: Sequence[Wanted], most: int) -> Iterator[list[Wanted]]:
    """Cut a segment into what one task renders each."""
    task: list[Wanted] = []
    for wanted in segment:
        task.append(wanted)
        if len(task) >= most or sum(each.num_bytes for each in task) >= TASK_BYTES:
            yield task
            task = []
    if task:
        yield task


def _render_ahead(
    wanted: Iterator[Wanted], renderer: Renderer, most_bytes: int
) -> Iterator[tuple[Wanted, Any]]:
    """Run Ray Data over the requests, a segment at a time, in their order."""
    with ThreadPoolExecutor(1) as starter:
        # One task each at first: the sooner is the first there.
        segment = list(itertools.islice(wanted, FIRST_SEGMENT))
        coming = starter.submit(_begun, segment, renderer, most_bytes, 1)
        while segment:
            blocks = coming.result()
            following: list[Wanted] = []
            for place, (each, ref) in enumerate(zip(segment, blocks, strict=True)):
                if place == 3 * len(segment) // 4:
                    # Not at the end only: no CPU is to idle while a pipeline starts.
                    following = list(itertools.islice(wanted, segment_size()))
                    coming = starter.submit(
                        _begun, following, renderer, most_bytes, TASK_MICROS
                    )
                yield each, ref
            segment = following


def _begun(
    segment: Sequence[Wanted], renderer: Renderer, most_bytes: int, most_micros: int
) -> Iterator[Any]:
    """Start a pipeline; its blocks' references, from when the first is there."""
    if not segment:
        return iter(())
    dataset = ray.data.from_arrow(
        [
            # In one piece each: Ray looks at every piece of every column by itself.
            pa.concat_tables([each.request for each in task]).combine_chunks()
            for task in tasks_of(segment, most_micros)
        ]
    )
    context = dataset.context
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ray.data.ExecutionResources(
        object_store_memory=most_bytes
    )
    # One row is one block is one micro-batch, whatever its size. A task raises for no sample,
    # it says so in its row: a dropped block would shift everything after it.
    context.target_max_block_size = 1
    blocks = block_refs(
        dataset.map_batches(
            render_each,
            fn_kwargs={"renderer": renderer},
            batch_size=None,
            batch_format="pyarrow",
        )
    )
    return itertools.chain([next(blocks)], blocks)


def segment_size() -> int:
    """Micro-batches of a pipeline: two tasks a CPU, or more."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    return max(SEGMENT, 2 * TASK_MICROS * cpus)


class HandOut:
    """The actor that every rank asks. Restarted by Ray if it dies: it holds no past.

    Args:
        courses: What there is to train on and to be evaluated on.
        left_out: Training slots that an earlier life of the run found empty.
        most_bytes: The most that each part's window may hold; None for ``store_share``.
    """

    def __init__(
        self,
        courses: dict[Part, Course],
        left_out: frozenset[Slot],
        most_bytes: int | None = None,
    ) -> None:
        ray.data.DataContext.get_current().enable_progress_bars = False
        # Where it died under way, others are in the middle of a step: they had better render
        # for themselves than wait for a pipeline to start.
        is_again = ray.get_runtime_context().was_current_actor_reconstructed
        patience_s = READY_S if is_again else COLD_S
        self._streams = {
            part: Stream(
                course, left_out if part == "train" else frozenset(), most_bytes, patience_s
            )
            for part, course in courses.items()
        }

    def step_plan(self, part: Part, step: int, *, is_begun: bool) -> StepPlan:
        """The plan of a step; moves the window there, but not back to one that is not begun."""
        return self._streams[part].move_to(step, is_begun=is_begun)

    def fetch(self, part: Part, address: Address) -> list[Any]:
        """A micro-batch's reference in a list, so that Ray hands on the reference itself.

        The list is empty where the micro-batch is not rendered in good time.
        """
        ref = self._streams[part].take(address)
        return [] if ref is None else [ref]

    def request(self, part: Part, address: Address) -> tuple[pa.Table, Renderer]:
        """What it takes to render a micro-batch oneself."""
        stream = self._streams[part]
        return stream.request(stream.plan.step(address.step), address.micro), stream.spec
