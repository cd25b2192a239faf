"""Follow a submitted job to its end, over lost connections, laptops' sleep and lost heads.

No Ray: whom to ask is a Protocol, which ``submitting`` fulfils.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from orchestrator.cluster.restarts import Tally
from orchestrator.cluster.resubmitting import (
    Abandon,
    Finish,
    Follow,
    Look,
    LookAgain,
    Resubmit,
    State,
    after_look,
)
from orchestrator.errors import FaultError

BREATH_S = 0.5
"""Between a log that ended and the next look."""
_OVER: tuple[State, ...] = ("succeeded", "failed", "stopped")


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A submitted job, as the cluster's head knows it."""

    id: str
    run: str
    state: State
    exit_code: int | None = None
    why: str = ""
    started_s: float = 0.0
    ended_s: float | None = None
    digest: str = ""
    """Of the job file that it was submitted with."""
    storage: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in _OVER


class Jobs(Protocol):
    """The jobs of a cluster. Every method answers or raises ``FaultError`` within a minute."""

    def find(self, submission: str, /) -> Submitted | None:
        """One job; None where the head knows of none."""
        ...

    def log(self, submission: str, /) -> Iterator[str]:
        """Its log from the beginning, as it grows, until the job ends or the line breaks."""
        ...


@dataclass(slots=True)
class Clock:
    """Where the time comes from."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(kw_only=True)
class Follower:
    """One person's view of a job, through all its submissions.

    Alive in it is what was shown already, and when the head last answered.
    """

    jobs: Jobs
    submission: str
    show: Callable[[str], None]
    """Given the job's log, a whole line at a time."""
    say: Callable[[str], None]
    """Given what a person should know of the connection."""
    again: Callable[[], str] | None = None
    """Submits the job anew and gives the new submission's name; None: it is not to be."""
    newest_step: Callable[[], int] = lambda: 0
    """The run's newest finished step, as its storage tells."""
    patience_s: float
    """How long a head may be away."""
    clock: Clock = field(default_factory=Clock)

    _shown: int = field(default=0, init=False)
    _begun: str = field(default="", init=False)
    _tally: Tally = field(default_factory=Tally, init=False)
    _seen_s: float = field(default=0.0, init=False)
    _vain: int = field(default=0, init=False)

    def follow(self) -> int:
        """Show the log until the job is over.

        Returns:
            The exit code of the job's command; 130 where a person stopped it.

        Raises:
            FaultError: The head stays away, or the job died and is not to be submitted again.
        """
        self._seen_s = self.clock.now_s()
        while True:
            decision = after_look(
                self._look(),
                self._tally,
                self.newest_step() if self.again else 0,
                supervised=self.again is not None,
                patience_s=self.patience_s,
            )
            match decision:
                case Follow():
                    self._read_on()
                    self.clock.sleep(BREATH_S)
                case LookAgain(pause_s=pause_s):
                    self.clock.sleep(pause_s)
                case Resubmit():
                    self._resubmit(decision)
                case Finish(code=code):
                    self._read_on()
                    return code
                case Abandon(why=why):
                    raise FaultError(why, "submit", "The same command goes on with the run")
                case _:
                    assert_never(decision)

    def _look(self) -> Look:
        try:
            found = self.jobs.find(self.submission)
        except FaultError as error:
            self._vain += 1
            if self._vain == 1:
                self.say(f"{error.problem}; asking again")
            silent_s = self.clock.now_s() - self._seen_s
            return Look(
                state="unreachable",
                why=error.problem,
                silent_s=silent_s,
                looks_in_vain=self._vain,
            )
        if self._vain:
            self.say("the cluster's head answers again")
        self._vain = 0
        if found is None:
            return Look(state="unknown", why=f"the head knows no job {self.submission}")
        self._seen_s = self.clock.now_s()
        return Look(state=found.state, exit_code=found.exit_code, why=found.why)

    def _resubmit(self, decision: Resubmit) -> None:
        assert self.again is not None
        self.say(f"{decision.why}; submitting again in {decision.pause_s:g} s")
        self.clock.sleep(decision.pause_s)
        try:
            self.submission = self.again()
        except FaultError as error:
            # A head that is only just starting. The try does not count: nothing was tried.
            if self.clock.now_s() - self._seen_s >= self.patience_s:
                raise
            self.say(f"not submitted: {error.problem}")
            return
        self._tally = decision.tally
        self._seen_s = self.clock.now_s()
        self._shown, self._begun = 0, ""
        self.say(f"submitted again, as {self.submission}")

    def _read_on(self) -> None:
        """Show what of the log was not shown yet; a line that breaks is found by the look."""
        skip = self._shown + len(self._begun)
        try:
            for text in self.jobs.log(self.submission):
                new = text[skip:]
                skip = max(0, skip - len(text))
                self._show(new)
        except FaultError as error:
            self.say(f"the log's connection is lost: {error.problem}")

    def _show(self, text: str) -> None:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._shown += len(line) + 1
            self.show(line)
