"""The run's record: one actor, where spot instances do not go, writes what all workers say.

It keeps the event log, the ledger of empty slots and the run's outcome. It decides nothing
about training; what it knows, it knows from the store, so that Ray may restart it.
"""

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, assert_never

from orchestrator.cluster.ledger import Ledger, rounds_that_count, slot_of
from orchestrator.cluster.outcome import Failure, Outcome, Terms, failure_of
from orchestrator.cluster.patience import patiently
from orchestrator.cluster.roster import UNKNOWN, NodeView, Orders, Process, Roster
from orchestrator.errors import ConfigError, FaultError
from orchestrator.policy.faults import Budget, FaultKind, kind_of
from orchestrator.policy.joining import Admission, Admit, Hold, Start
from orchestrator.policy.slowness import Keep, Name, Release
from orchestrator.storage import Store
from orchestrator.tracking.events import (
    Event,
    EventValue,
    make_event,
    number,
    whole_number,
)
from orchestrator.train.manifest import RunManifest, admit, freeze, give_up_exact, read_manifest

FAILED_S = 10.0
LOOK_S = 0.5
"""How often the cluster is asked which nodes are about to go."""
FINAL_WRITER_TIMEOUT_S = 60.0
"""After this long without a word from the worker that writes the result, another one does."""


log = logging.getLogger(__name__)


class Journal:
    """The record itself; as an actor, called by many workers at once.

    Args:
        store: The run's store.
        terms: What the run may not change.
        cell_plan: Kept for the cells' process.
        guard: Raises if another driver trains this run by now: then nothing more is written.
        look: Asks the cluster for its nodes, every ``LOOK_S``; None where nobody is asked.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        terms: Terms,
        cell_plan: object = None,
        look: Callable[[], NodeView] | None = None,
        guard: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cell_plan = cell_plan
        self._clock = clock
        self._store = store
        self._terms = terms
        self._lock = threading.RLock()
        self._ledger = Ledger(store, guard)
        self._rounds = rounds_that_count(self._ledger.events)
        self._roster = Roster(terms.cells[0], clock, time.time)
        self._budget = Budget(cells=terms.cells[1])
        self._charged: set[Process] = set()
        self._round_s: deque[float] = deque(maxlen=16)
        self._quorum_id = -1
        self._lighthouse = ""
        self._refused: set[int] = set()
        self._outcome: Outcome | None = None
        self._writer: tuple[int, float] | None = None
        for event in self._ledger.events:
            # Cells, quorums and the outcome of another driver are not ours.
            if event.get("generation") == terms.generation:
                self._recall(event)
        if look is not None:
            threading.Thread(target=self._keep_looking, args=(look,), daemon=True).start()

    def _keep_looking(self, look: Callable[[], NodeView]) -> None:
        while True:
            try:
                nodes = look()
            except FaultError as error:
                # The cluster's own books are away for a moment: what was known, still is.
                log.warning("%s", error)
            else:
                with self._lock:
                    self._roster.nodes = nodes
                    self._tell_pace()
            time.sleep(LOOK_S)

    def _recall(self, event: Event) -> None:
        """Take over from the log what an earlier life of this actor knew."""
        cell = whole_number(event, "cell")
        match event["kind"]:
            case "joined":
                process = Process(str(event["node"]), whole_number(event, "pid"))
                self._roster.processes[cell] = self._roster.seen[cell] = process
            case "lost" | "left":
                self._roster.seen.pop(cell, None)
            case "lighthouse":
                self._lighthouse, self._quorum_id = str(event["url"]), -1
            case "quorum":
                self._quorum_id = whole_number(event, "quorum")
            case "finished":
                self._outcome = Outcome("finished", str(event["weights_sha256"]))
            case "paused":
                self._outcome = Outcome("paused", str(event["weights_sha256"]))
            case "failed":
                self._outcome = Outcome("failed", failure=failure_of(event))
            case _:
                pass

    def read(self, first: int) -> tuple[list[Event], Outcome | None]:
        """The events from number ``first`` on, and the outcome once there is one."""
        with self._lock:
            return self._ledger.events[first:], self._outcome

    def record(self, events: list[Event]) -> None:
        """Append events; a round that several workers report is written once."""
        with self._lock:
            # A set, not a maximum: calls of one worker may overtake each other.
            fresh = [e for e in events if whole_number(e, "round") not in self._rounds]
            self._ledger.write(fresh)
            # Only now: what the store did not take, another worker may still report.
            self._rounds |= rounds_that_count(fresh)
            if any("round" in event for event in fresh):
                self._budget = self._budget.step_done()
            self._round_s.extend(number(e, "round_s") for e in fresh if e["kind"] == "step")
            self._roster.step_s = statistics.median(self._round_s) if self._round_s else 0.0
        if fresh:
            self._ledger.settle()

    def empty_slots(self, slots: list[Event]) -> None:
        """Make empty slots durable; a slot that is known already is not written again."""
        with self._lock:
            known = {
                slot_of(event) for event in self._ledger.events if event["kind"] == "empty_slot"
            }
            self._ledger.write([slot for slot in slots if slot_of(slot) not in known])
        self._ledger.make_durable("which slots are empty")

    def halved(self, event: Event) -> None:
        """Return once it is durable that the run is not exact any more.

        Raises:
            StorageError: It cannot be written.
        """
        patiently(self._give_up_exact)
        with self._lock:
            self._ledger.write([event])
        self._ledger.settle()

    def _give_up_exact(self) -> None:
        with self._lock:
            give_up_exact(self._store)

    def admit(self, cell: int, process: Process, numeric_class: dict[str, str]) -> RunManifest:
        """Let a worker take part: the first one's numeric class is the run's.

        Raises:
            ConfigError: The machine would round differently, and the job gives no leave.
        """
        with self._lock:
            try:
                manifest = self._check_class(numeric_class)
            except ConfigError as error:
                if cell not in self._refused:
                    self._refused.add(cell)
                    self._ledger.write(
                        [self._event("refused", cell=cell, reason=error.problem)]
                    )
                if not self._roster.processes:
                    # Nobody trains, and nobody would: that is a person's to decide.
                    self.fail(Failure.of(error))
                raise
            self._charge(self._roster.processes.get(cell, process), process)
            self._roster.admit(cell, process)
            return manifest

    def _check_class(self, numeric_class: dict[str, str]) -> RunManifest:
        terms = self._terms
        if read_manifest(self._store) is not None:
            return admit(self._store, numeric_class, allow_mixed=terms.allow_mixed)
        return freeze(
            self._store,
            terms.job,
            terms.index_fingerprint,
            terms.micro_tokens,
            numeric_class,
        )

    def not_started(self, cell: int, reason: str) -> None:
        """A cell's trainer ended by an error of its own; the cell is about to be started anew.

        Counts as a start: a cluster on which no trainer runs is not tried for ever.
        """
        with self._lock:
            self._ledger.write(
                [self._event("waiting", reason=f"cell {cell} did not run: {reason}")]
            )
            self._spend("worker", reason)

    def _charge(self, before: Process, now: Process) -> None:
        """Count the end of a cell's last worker where it belongs: to its machine, or to it."""
        if before != now and before not in self._charged:
            self._charged.add(before)
            self._spend(kind_of(self._roster.reason_of(before)), "a worker's process died")

    def _spend(self, kind: FaultKind, reason: str) -> None:
        left = self._budget.spend(kind)
        if isinstance(left, Budget):
            self._budget = left
            return
        problem = f"{left.reason} (the last time: {reason})"
        self.fail(Failure.of(FaultError(problem, "cluster", left.fix)))

    def _tell_pace(self) -> None:
        """Say who holds up the others; who does so for too long is released."""
        verdict = self._roster.slowest()
        match verdict:
            case Keep():
                return
            case Name(cell=cell, reason=reason):
                self._ledger.write([self._event("slow", cell=cell, reason=reason)])
            case Release(cell=cell, reason=reason):
                self._ledger.write([self._event("released", cell=cell, reason=reason)])
            case _:
                assert_never(verdict)

    def may_load(self, cell: int, process: Process) -> Start | Hold:
        """Whether a worker that has just been started may load its model."""
        with self._lock:
            return self._roster.may_load(cell, process)

    def may_join(self, cell: int) -> Admission:
        """Whether a worker that was let in and has loaded its model may join now."""
        with self._lock:
            found = self._roster.admission(cell)
            process = self._roster.processes.get(cell, UNKNOWN)
            if not isinstance(found, Admit) and self._roster.is_news(process, "held"):
                self._ledger.write([self._event("held", cell=cell, reason=found.reason)])
            return found

    def quorum(self, quorum_id: int, cells: tuple[int, ...], step: int, round_: int) -> None:
        """Take note of a new membership; say who joined, who was lost, and who began anew."""
        with self._lock:
            if quorum_id <= self._quorum_id:
                return
            roster = self._roster
            now = {cell: roster.processes.get(cell, UNKNOWN) for cell in cells}
            lost = {c: process for c, process in roster.seen.items() if now.get(c) != process}
            joined = {c: process for c, process in now.items() if roster.seen.get(c) != process}
            begins = len(lost) == len(roster.seen)
            where: dict[str, EventValue] = {"step": step, "world_size": len(cells)}
            # In one piece: this actor may be restarted after any write.
            fresh = (
                ([self._beginning(step, round_)] if begins else [])
                + [self._gone(*each, where) for each in lost.items()]
                + [self._came(*each, where) for each in joined.items()]
                + [self._event("quorum", **where, quorum=quorum_id)]
            )
            self._ledger.write(fresh)
            roster.take_quorum(now)
            self._quorum_id = quorum_id
            if begins:
                self._rounds = rounds_that_count(self._ledger.events)
        self._ledger.settle()

    def _came(self, cell: int, process: Process, where: dict[str, EventValue]) -> Event:
        return self._event("joined", **where, load_s=process.load_s, **_who(cell, process))

    def _gone(self, cell: int, process: Process, where: dict[str, EventValue]) -> Event:
        kind = "left" if process in self._roster.leavers else "lost"
        reason = self._roster.reason_of(process)
        return self._event(kind, **where, reason=reason, **_who(cell, process))

    def attend(self, cell: int, pid: int, round_: int, waiting_s: float | None) -> Orders:
        """A worker says how it is, about twice a second; what it is to do."""
        with self._lock:
            orders = self._roster.attend(cell, pid, round_, waiting_s)
            if orders.leave_by_s is not None:
                self._notice(cell, f"its node goes at {orders.leave_by_s:.0f}")
            elif orders.save:
                self._notice(cell, "its node may go")
            return orders

    def _notice(self, cell: int, reason: str) -> None:
        process = self._roster.processes[cell]
        if self._roster.is_news(process, reason):
            self._ledger.write([self._event("notice", reason=reason, **_who(cell, process))])

    def leaving(self, cell: int, pid: int, reason: str) -> None:
        """A worker says that it will have left by the next round, and why."""
        with self._lock:
            process = self._roster.processes.get(cell, UNKNOWN)
            if process.pid == pid:
                self._roster.leavers.add(process)
                self._ledger.write([self._event("drain", reason=reason, **_who(cell, process))])
        self._ledger.settle()

    def lighthouse(self) -> str:
        """URL of the run's lighthouse; empty before it has come."""
        return self._lighthouse

    def lighthouse_is_at(self, url: str) -> None:
        """The lighthouse has come, for the first time or again, and numbers quorums from 1."""
        with self._lock:
            self._lighthouse, self._quorum_id = url, -1
            self._ledger.write([self._event("lighthouse", url=url)])
        self._ledger.settle()

    def _event(self, kind: str, **fields: EventValue) -> Event:
        return make_event(kind, wall_s=None, generation=self._terms.generation, **fields)

    def _beginning(self, step: int, round_: int) -> Event:
        """Nobody is left who knows more than the checkpoint, if there is one."""
        if any(event["kind"] in ("started", "resumed") for event in self._ledger.events):
            return self._event("resumed", step=step, after_round=round_)
        return self._event("started")

    def cells(self) -> Any:  # noqa: ANN401 - known to those who ask
        """What the cells' process is to run."""
        return self._cell_plan

    def fail(self, failure: Failure) -> None:
        """End the run for a reason of its own; the first that says which, stays."""
        with self._lock:
            known = self._outcome
            if known and known.failure is None:
                return
            if known and known.failure and (known.failure.detailed or not failure.detailed):
                return
            fields = asdict(failure)
            fields["error"] = fields.pop("kind")
            self._ledger.write([self._event("failed", reason=fields.pop("problem"), **fields)])
            # Whether or not it is written: a store that is away must not keep a run alive.
            self._ledger.flush(FAILED_S)
            self._outcome = Outcome("failed", failure=failure)

    def is_writer(self, cell: int) -> bool:
        """Whether this cell writes the result: the first to ask, or another if it is gone."""
        with self._lock:
            if self._outcome is not None:
                return False
            now_s = self._clock()
            cell_before, since_s = self._writer or (cell, now_s)
            if cell_before != cell and now_s - since_s < FINAL_WRITER_TIMEOUT_S:
                return False
            self._writer = (cell, now_s)
            return True

    def finish(self, weights_sha256: str) -> None:
        """The result is written."""
        self._end("finished", weights_sha256)

    def pause(self, weights_sha256: str, step: int) -> None:
        """The checkpoint of the last step that was asked for is written."""
        self._end("paused", weights_sha256, step=step)

    def _end(
        self, how: Literal["finished", "paused"], weights_sha256: str, **more: EventValue
    ) -> None:
        with self._lock:
            if self._outcome is not None:
                return
            self._ledger.write([self._event(how, weights_sha256=weights_sha256, **more)])
        self._ledger.make_durable("the end of the run")
        self._outcome = Outcome(how, weights_sha256=weights_sha256)

    def outcome(self) -> Outcome | None:
        """How the run ended, if it has."""
        return self._outcome


def _who(cell: int, process: Process) -> dict[str, EventValue]:
    return {"cell": cell, "node": process.node, "pid": process.pid}
