"""The lease: at most one trainer writes to a run, and one that was replaced notices.

A run is held in generations. ``lease/00000003.json`` names the holder of the third; it is
created exclusively, so that of several claimants one wins, and never changed or deleted.
``lease/00000003.beat`` is the holder's heartbeat, rewritten by ``renew``. Whoever finds the
holder dead claims the next generation; a holder that thaws after that sees it in ``check``.

Clocks of two machines are compared only to tell whether a heartbeat is fresh: a skew beyond
``stale_s`` can end a living holder's lease early, but never give two holders one generation.

**How long a holder may go on without having renewed.** For as long as it writes nothing. The
store that it cannot reach is the one that a claimant needs; and should it be cut off alone,
and be replaced meanwhile, then whatever it computes stays in its memory. So a holder trains on
while its store is away, and asks before it writes. What the asking has to prove depends on how
old the last renewal is:

* Younger than ``stale_s`` less a quarter: nobody can have claimed. A claimant elsewhere wants
  a heartbeat older than ``stale_s``, and the quarter covers clocks that differ and requests
  under way. That the store names no successor is then more than enough.
* Older: a claimant may at this moment be looking at the old heartbeat. That there is no
  successor *yet* proves nothing about a moment later. So ``check`` beats first and asks again:
  whoever looks from now on finds a fresh heartbeat, and whoever looked before has shown up, or
  is between its look and its claim, a matter of one request. Where the store answers either
  question not at all, the answer is that nothing may be written.

Ages are measured with a clock that nobody sets, and that runs on while the process is frozen.
Copies of a lease, in a worker's process, do not beat (a worker that outlived its driver would
make it look alive); they ask.
"""

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from orchestrator.errors import LeaseError, StorageError
from orchestrator.storage import Store

_FOLDER: Final = "lease"
_MARGIN: Final = 0.25
_GENERATION: Final = re.compile(rf"{_FOLDER}/(\d{{8,}})\.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A process, named so that no other on any machine at any time is taken for it."""

    host: str
    pid: int
    boot_id: str
    """Identity of the machine's boot; empty where the system has none."""

    pid_namespace: str = ""
    """Where ``pid`` counts: containers of one machine do not see each other's processes."""

    started: int = 0
    """When the process began, in the kernel's ticks since boot: a ``pid`` is used again."""

    def shares_processes_with(self, other: "Owner") -> bool:
        """Whether either can tell if the other's process runs."""
        return bool(self.boot_id) and (self.host, self.boot_id, self.pid_namespace) == (
            other.host,
            other.boot_id,
            other.pid_namespace,
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


IsRunning: TypeAlias = Callable[[Owner], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Where the time comes from."""

    wall_s: Callable[[], float] = time.time
    """Seconds since 1970, which other machines compare with theirs."""

    grown_s: Callable[[], float] = time.monotonic
    """Seconds that only grow, and do so while a process is frozen."""


@dataclass(slots=True)
class _Renewals:
    """When this process renewed last, by ``Clock.grown_s``; None in a copy elsewhere."""

    last_s: float | None = None

    def __reduce__(self) -> tuple[type["_Renewals"], tuple[()]]:
        return _Renewals, ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Holder:
    generation: int
    owner: Owner
    claim: str
    beat_s: float
    released: bool


def this_process() -> Owner:
    """The owner that this process is."""
    pid = os.getpid()
    _, started = _process_stat(pid) or ("", 0)
    return Owner(
        host=socket.gethostname(),
        pid=pid,
        boot_id=_first_line(Path("/proc/sys/kernel/random/boot_id")),
        pid_namespace=_link(Path("/proc/self/ns/pid")),
        started=started,
    )


def is_running(owner: Owner) -> bool:
    """Whether a process of this machine is alive; one that only waits to be reaped is not."""
    stat = _process_stat(owner.pid)
    return stat is not None and stat[0] not in {"Z", "X"} and stat[1] == owner.started


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """One generation of holding a run."""

    store: Store
    generation: int
    owner: Owner
    stale_s: float
    clock: Clock = field(default=Clock(), compare=False)
    renewals: _Renewals = field(default_factory=_Renewals, compare=False)

    @classmethod
    def claim(
        cls,
        store: Store,
        owner: Owner,
        *,
        now_s: float,
        stale_s: float,
        clock: Clock = Clock(),
        is_running: IsRunning = is_running,
    ) -> "Lease":
        """Take the run, if nobody alive holds it.

        A holder whose process this machine can see lives as long as the process does. Any other
        lives as long as its heartbeat is younger than ``stale_s``.

        Args:
            store: The run's store.
            owner: Who claims.
            now_s: Seconds since 1970.
            stale_s: Age at which a heartbeat is a dead holder's; several times the interval at
                which holders renew.
            clock: Where later heartbeats have their time from.
            is_running: Whether a process of this machine is alive.

        Raises:
            LeaseError: Another holds the run, or won the race for it.
        """
        asked_s = clock.grown_s()
        holder = _holder(store)
        if holder is not None and _is_alive(holder, owner, now_s - stale_s, is_running):
            raise _held_by(store, holder)
        generation = holder.generation + 1 if holder else 1
        # A word of its own: a claim whose answer was lost is known again when it is read.
        word = uuid.uuid4().hex
        claim = {"owner": asdict(owner), "claim": word, "claimed_s": now_s}
        _create_claim(store, generation, word, json.dumps(claim).encode())
        return cls(
            store=store,
            generation=generation,
            owner=owner,
            stale_s=stale_s,
            clock=clock,
            renewals=_Renewals(asked_s),
        )

    @property
    def is_sure(self) -> bool:
        """Whether the last renewal is so young that nobody can have claimed since."""
        last_s = self.renewals.last_s
        sure_s = self.stale_s * (1 - _MARGIN)
        return last_s is not None and self.clock.grown_s() - last_s < sure_s

    @classmethod
    def claim_from_silence(
        cls,
        store: Store,
        owner: Owner,
        *,
        stale_s: float,
        tell: Callable[[str], None],
        pause_s: float = 1.0,
    ) -> "Lease":
        """As ``claim``; a holder that cannot be seen from here is believed by its next beat.

        A machine that is lost leaves a heart that beat a moment ago. So whoever comes after it
        waits until that beat is old, and learns within one interval of beats if it lives.

        Args:
            store: As in ``claim``.
            owner: As in ``claim``.
            stale_s: As in ``claim``; the longest wait, too.
            tell: Told once what is waited for.
            pause_s: Between looks.

        Raises:
            LeaseError: Another holds the run, or won the race for it.
        """
        first, told = _holder(store), False
        end_s = time.monotonic() + stale_s + 2 * pause_s
        while True:
            try:
                return cls.claim(store, owner, now_s=time.time(), stale_s=stale_s)
            except LeaseError as error:
                unseen = first is not None and not owner.shares_processes_with(first.owner)
                if not unseen or _holder(store) != first or time.monotonic() > end_s:
                    raise
                if not told:
                    tell(f"{error.problem}; waiting up to {stale_s:.0f} s for a sign of life")
                told = True
            time.sleep(pause_s)

    def check(self) -> None:
        """Return if this process may write to the run now.

        Raises:
            LeaseError: Another trainer took over.
            StorageError: The store does not tell whether one did: nothing may be written.
        """
        self._find_no_successor()
        if self.renewals.last_s is not None and not self.is_sure:
            self._beat(self.clock.wall_s(), released=False)
            self._find_no_successor()

    def renew(self, now_s: float) -> None:
        """Beat the heart.

        Raises:
            LeaseError: Another trainer took over.
            StorageError: The store did not take the heartbeat.
        """
        self._find_no_successor()
        self._beat(now_s, released=False)

    def release(self, now_s: float) -> None:
        """Let the next claimant in at once. Harmless where another took over already."""
        self._beat(now_s, released=True)

    def _find_no_successor(self) -> None:
        newest = max(_generations(self.store), default=0)
        if newest > self.generation:
            raise _held_by(self.store, _holder(self.store))
        if newest < self.generation:
            # A folder that lost its own past: a disk that is no longer mounted, say.
            raise StorageError(
                f"the lease's own generation {self.generation} is not there",
                f"{self.store.url}/{_FOLDER}",
                "Check that the storage is mounted, and that nobody deleted the run",
            )

    def _beat(self, now_s: float, *, released: bool) -> None:
        # Before it is sent: the age of a heartbeat is counted from the time written in it.
        grown_s = self.clock.grown_s()
        beat = {"beat_s": now_s, "released": released}
        self.store.write(_name(self.generation, "beat"), json.dumps(beat).encode())
        self.renewals.last_s = None if released else grown_s


def _create_claim(store: Store, generation: int, word: str, claim: bytes) -> None:
    """Create a generation, or find that a claim whose answer was lost has done so.

    Raises:
        LeaseError: Another was first.
        StorageError: Nobody can say.
    """
    try:
        if store.create(_name(generation, "json"), claim):
            return
    except StorageError:
        if _word_of(store, generation) != word:
            raise
        return
    winner = _holder(store)
    if winner is None or winner.claim != word:
        raise _held_by(store, winner)


def _word_of(store: Store, generation: int) -> str | None:
    holder = _holder(store)
    return holder.claim if holder and holder.generation == generation else None


def _generations(store: Store) -> list[int]:
    matches = (_GENERATION.fullmatch(name) for name in store.list(_FOLDER))
    return [int(match[1]) for match in matches if match]


def _holder(store: Store) -> _Holder | None:
    generation = max(_generations(store), default=0)
    if not generation:
        return None
    try:
        claim = json.loads(store.read(_name(generation, "json")))
        beat = {"beat_s": claim["claimed_s"], "released": False}
        if store.exists(_name(generation, "beat")):
            beat = json.loads(store.read(_name(generation, "beat")))
        owner = Owner(**claim["owner"])
        return _Holder(
            generation=generation,
            owner=owner,
            claim=str(claim.get("claim", "")),
            beat_s=float(beat["beat_s"]),
            released=bool(beat["released"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"generation {generation} of the lease cannot be read ({error})",
            f"{store.url}/{_FOLDER}",
            "Make sure that nobody trains, and delete that folder",
        ) from error


def _is_alive(holder: _Holder, seer: Owner, stale_since_s: float, running: IsRunning) -> bool:
    if holder.released:
        return False
    if seer.shares_processes_with(holder.owner):
        return running(holder.owner)
    return holder.beat_s > stale_since_s


def _held_by(store: Store, holder: _Holder | None) -> LeaseError:
    name = holder.owner if holder else "another trainer"
    return LeaseError(
        f"the run is held by {name}",
        store.url,
        "Wait for it or end it, or choose a new name for this run",
    )


def _name(generation: int, suffix: str) -> str:
    return f"{_FOLDER}/{generation:08d}.{suffix}"


def _process_stat(pid: int) -> tuple[str, int] | None:
    """State and start (ticks since boot) of a process of this machine; None: there is none."""
    line = _first_line(Path(f"/proc/{pid}/stat"))
    if not line:
        return None
    # A command's name is in parentheses and may hold anything, spaces and parentheses too.
    state, *fields = line.rpartition(")")[2].split()
    return state, int(fields[18])


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def age_s() -> float:
    """Seconds since this process began; 0 where the system does not tell."""
    stat = _process_stat(os.getpid())
    uptime = _first_line(Path("/proc/uptime")).split()
    if stat is None or not uptime:
        return 0.0
    return float(uptime[0]) - stat[1] / os.sysconf("SC_CLK_TCK")
