"""Micro-batches, rendered ahead by Ray Data and handed out by address.

One actor, on the head node, follows the plan from the step that the trainers are at, keeps a
bounded window of rendered blocks ahead of them, and gives out references. It does not care who
asks, in what order, or how many there are. What a lost node took with it is rendered again.
"""

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from orchestrator.cluster.internals import block_refs
from orchestrator.cluster.tasks import RenderSpec, render
from orchestrator.data.index import Index
from orchestrator.data.render import request_table
from orchestrator.errors import FaultError, StorageError
from orchestrator.plan.steps import Address, Part, Plan, Slot, StepPlan

WINDOW = 32
"""Micro-batches rendered ahead of the trainers."""
SEGMENT = 256
"""Micro-batches that one Ray Data pipeline renders; the next one starts as it runs dry."""
COLD_S = 15.0
READY_S = 0.5
STALLED_S = 0.02
"""How long a micro-batch is waited for: while the pipeline starts, while it delivers, and once
it was found to have stalled, until it delivers again."""
PULL_S = 0.25
"""How long a rendered block may take to come over; one that went with its node never does."""
PAUSES_S = (0.5, 2.0, 10.0, 30.0)
"""Between tries at pictures whose store does not answer."""
ANSWER_S = 60.0
"""The longest the hand-out itself is waited for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Course:
    """One part of a job's data: what is planned over which index."""

    index_dir: Path
    plan: dict[str, Any]
    """What ``Plan`` takes beside the index's columns."""
    spec: RenderSpec

    def open(self) -> tuple[Index, Plan]:
        """The index, memory-mapped, and the plan over it."""
        index = Index.open(self.index_dir)
        return index, Plan(tokens_N=index.tokens_N, cost_N=index.cost_N, **self.plan)


class Stream:
    """A window of rendered micro-batches that moves along one course.

    Args:
        course: What to render.
        left_out: Slots that stay empty whatever their files hold now.
    """

    def __init__(self, course: Course, left_out: frozenset[Slot]) -> None:
        self._index, self.plan = course.open()
        self.spec = course.spec
        self._left_out = left_out
        self._changed = threading.Condition()
        self._ready: dict[Address, Any] = {}
        self._floor = 0
        self._generation = 0
        self._rendering = range(0)
        self._patience_s = COLD_S

    def request(self, plan: StepPlan, micro: int) -> pa.Table:
        """What a rendering task is given: addresses and rows, a few hundred bytes a sample."""
        samples = plan.micros[micro].samples
        present = [s for s in samples if (plan.epoch, s) not in self._left_out]
        return request_table(plan.address(micro), self._index.rows(present))

    def move_to(self, step: int) -> StepPlan:
        """Tell the window that the trainers are at ``step``; start it there if it is not."""
        with self._changed:
            # Back to the start: another evaluation over the same data.
            if step not in self._rendering or step < self._floor:
                self._restart(step)
            # A step back is kept: a neighbour may still be at it.
            self._floor = max(self._floor, step - 1)
            for address in [a for a in self._ready if a.step < self._floor]:
                del self._ready[address]
            self._changed.notify_all()
        return self.plan.step(step)

    def _restart(self, step: int) -> None:
        self._generation += 1
        self._ready.clear()
        self._floor = step
        self._rendering = range(step, self.plan.num_steps)
        threading.Thread(target=self._fill, args=(step, self._generation), daemon=True).start()

    def _fill(self, step: int, generation: int) -> None:
        wanted = (
            (plan.address(micro), self.request(plan, micro))
            for plan in self.plan.steps_from(step)
            for micro in range(len(plan.micros))
        )
        try:
            self._keep_filled(_render_ahead(wanted, self.spec), generation)
        except Exception:
            # Whoever asks next renders alone, and meets the error where it can be answered.
            log.exception("rendering ahead ended")
            with self._changed:
                self._rendering = range(0)
                self._changed.notify_all()

    def _keep_filled(self, rendered: Iterator[tuple[Address, Any]], generation: int) -> None:
        for address, ref in rendered:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._num_ahead() < WINDOW or generation != self._generation
                )
                if generation != self._generation:
                    return
                self._patience_s = READY_S
                if address.step < self._floor - 1:
                    # The trainers are ahead of us, rendering for themselves: what we make for
                    # steps gone by is of no use to anybody.
                    self._restart(self._floor + 1)
                    return
                self._ready[address] = ref
                self._changed.notify_all()

    def _num_ahead(self) -> int:
        """Micro-batches rendered beyond the step that the trainers are at."""
        return sum(address.step > self._floor + 1 for address in self._ready)

    def _covers(self, step: int) -> bool:
        return step in self._rendering and step >= self._floor

    def take(self, address: Address) -> Any | None:  # noqa: ANN401 - an object reference
        """A rendered micro-batch's reference; None where it is not to be had in good time."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: address in self._ready or not self._covers(address.step),
                timeout=self._patience_s,
            )
            if not came:
                # One wait is enough to know that rendering has stalled.
                self._patience_s = STALLED_S
            return self._ready.get(address)


def _render_ahead(
    wanted: Iterator[tuple[Address, pa.Table]], spec: RenderSpec
) -> Iterator[tuple[Address, Any]]:
    """Run Ray Data over the requests, a segment at a time, in their order."""
    while segment := list(itertools.islice(wanted, SEGMENT)):
        dataset = ray.data.from_arrow([table for _, table in segment])
        dataset.context.execution_options.preserve_order = True
        dataset.context.enable_progress_bars = False
        # One row is one block is one micro-batch; a task raises for no sample, it says so in
        # its row: a dropped block would shift everything after it.
        rendered = dataset.map_batches(
            render, fn_kwargs={"spec": spec}, batch_size=None, batch_format="pyarrow"
        )
        yield from zip((address for address, _ in segment), block_refs(rendered), strict=True)


class HandOut:
    """The actor that every rank asks. Restarted by Ray if it dies: it holds no past.

    Args:
        courses: What there is to train on and to be evaluated on.
        left_out: Training slots that an earlier life of the run found empty.
    """

    def __init__(self, courses: dict[Part, Course], left_out: frozenset[Slot]) -> None:
        ray.data.DataContext.get_current().enable_progress_bars = False
        self._streams = {
            part: Stream(course, left_out if part == "train" else frozenset())
            for part, course in courses.items()
        }

    def step_plan(self, part: Part, step: int) -> StepPlan:
        """The plan of a step; moves the window there."""
        return self._streams[part].move_to(step)

    def fetch(self, part: Part, address: Address) -> list[Any]:
        """A micro-batch's reference in a list, so that Ray hands on the reference itself.

        The list is empty where the micro-batch is not rendered in good time.
        """
        ref = self._streams[part].take(address)
        return [] if ref is None else [ref]

    def request(self, part: Part, address: Address) -> tuple[pa.Table, RenderSpec]:
        """What it takes to render a micro-batch oneself."""
        stream = self._streams[part]
        return stream.request(stream.plan.step(address.step), address.micro), stream.spec


@dataclass(frozen=True, slots=True)
class HandOutClient:
    """One rank's side of the hand-out.

    A rank that would have to wait, because a block went with its node or rendering lags behind,
    renders for itself: the result is the same to the bit, whoever makes it.
    """

    actor: Any

    def step_plan(self, part: Part, step: int) -> StepPlan:
        """The plan of a step. Raises FaultError where the hand-out is out of reach."""
        plan: StepPlan = self._ask("step_plan", part, step)
        return plan

    def fetch_table(self, part: Part, address: Address) -> pa.Table:
        """One rendered micro-batch.

        Raises:
            StorageError: The pictures' store has not answered for a while.
            FaultError: The hand-out is out of reach.
        """
        for ref in self._ask("fetch", part, address):
            try:
                return ray.get(ref, timeout=PULL_S)
            except (ray.exceptions.RayError, TimeoutError):
                log.info("micro-batch %s is rendered here", tuple(address))
        request, spec = self._ask("request", part, address)
        return _rendered_here(request, spec)

    def _ask(self, method: str, *args: Any) -> Any:  # noqa: ANN401 - the hand-out's own
        try:
            return ray.get(getattr(self.actor, method).remote(*args), timeout=ANSWER_S)
        except ray.exceptions.RayTaskError as error:
            # Its own error, and not that it is gone: trying again would only repeat it.
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise FaultError(
                f"waited for the hand-out's {method} in vain: {type(error).__name__}",
                "cluster.handout",
                "The cell is started anew; look whether the head node is well",
            ) from error


def _rendered_here(request: pa.Table, spec: RenderSpec) -> pa.Table:
    """Render in this process; wait for a store that does not answer before giving up."""
    for pause_s in PAUSES_S:
        try:
            return render(request, spec=spec)
        except StorageError as error:
            log.warning("%s; again in %s s", error, pause_s)
            time.sleep(pause_s)
    return render(request, spec=spec)
