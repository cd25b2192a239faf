"""A submitted job is followed to its end, whatever happens to the line and to the head."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from orchestrator.cluster.following import Clock, Follower, Submitted
from orchestrator.cluster.restarts import PAUSES_S, Tally
from orchestrator.cluster.resubmitting import (
    Abandon,
    Decision,
    Finish,
    Follow,
    Look,
    LookAgain,
    Resubmit,
    after_look,
    was_killed,
)
from orchestrator.errors import FaultError

AWAY = FaultError("no answer", "submit", "Wait")


@dataclass
class Time:
    now_s: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class FakeJobs:
    """Answers from a script: each look takes the next entry, the last one is repeated."""

    states: list[Submitted | FaultError | None]
    logs: list[list[str | FaultError]] = field(default_factory=list)

    def find(self, submission: str, /) -> Submitted | None:
        found = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(found, FaultError):
            raise found
        return None if found is None or found.id != submission else found

    def log(self, submission: str, /) -> Iterator[str]:
        assert submission
        pieces = self.logs.pop(0) if len(self.logs) > 1 else self.logs[0]
        for piece in pieces:
            if isinstance(piece, FaultError):
                raise piece
            yield piece


def job(state: str, name: str = "a", code: int | None = None, why: str = "") -> Submitted:
    return Submitted(id=name, run="run", state=state, exit_code=code, why=why)  # type: ignore[arg-type]


@dataclass
class Seen:
    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    time: Time = field(default_factory=Time)

    def follower(self, jobs: FakeJobs, **given: object) -> Follower:
        clock = Clock(lambda: self.time.now_s, self.time.sleep)
        told = {
            "jobs": jobs, "submission": "a", "clock": clock, "patience_s": 1800.0, **given
        }  # fmt: skip
        return Follower(show=self.lines.append, say=self.said.append, **told)  # type: ignore[arg-type]


def test_a_log_is_shown_once_though_the_line_breaks_in_the_middle_of_it() -> None:
    seen = Seen()
    jobs = FakeJobs(
        [job("running"), AWAY, job("running"), job("succeeded", code=0)],
        [["one\ntw", AWAY], ["one\ntwo\n", "thr"], ["one\n", "two\nthree\n", "end\n"]],
    )
    assert seen.follower(jobs).follow() == 0
    assert seen.lines == ["one", "two", "three", "end"]
    assert seen.said[0].startswith("the log's connection is lost")
    assert "the cluster's head answers again" in seen.said


def test_a_head_that_forgot_the_job_gets_it_again_and_its_new_log_is_shown_whole() -> None:
    seen = Seen()
    jobs = FakeJobs(
        [job("running"), AWAY, AWAY, None, job("running", "b"), job("succeeded", "b", 0)],
        [["first\n", AWAY], ["first\n"], ["first\nlast\n"]],
    )
    assert seen.follower(jobs, again=lambda: "b").follow() == 0
    assert seen.lines == ["first", "first", "last"]
    assert "submitted again, as b" in seen.said


def test_without_supervision_a_lost_job_is_an_error_with_the_remedy() -> None:
    seen = Seen()
    with pytest.raises(FaultError, match=r"knows no job a.*same command goes on"):
        seen.follower(FakeJobs([None])).follow()


def test_a_head_that_stays_away_is_given_up_after_the_persons_patience() -> None:
    seen = Seen()
    with pytest.raises(FaultError, match=r"no answer for \d+ s"):
        seen.follower(FakeJobs([AWAY]), patience_s=60.0, again=lambda: "b").follow()
    assert 60 <= seen.time.now_s <= 75
    assert len(seen.said) == 1


def test_a_head_that_cannot_take_jobs_yet_is_tried_again_at_no_cost() -> None:
    seen = Seen()
    answers: list[str | FaultError] = [AWAY] * 20 + ["b"]

    def again() -> str:
        answer = answers.pop(0)
        if isinstance(answer, FaultError):
            raise answer
        return answer

    jobs = FakeJobs([None] * 21 + [job("succeeded", "b", 0)], [["done\n"]])
    assert seen.follower(jobs, again=again).follow() == 0
    assert seen.lines == ["done"]


def test_a_job_that_dies_again_and_again_without_a_step_is_given_up() -> None:
    seen = Seen()
    jobs = FakeJobs([job("failed", why="supervisor died")], [[]])
    tries: list[int] = []

    def again() -> str:
        tries.append(1)
        return "a"

    with pytest.raises(FaultError, match="given up after 5 tries without a new step"):
        seen.follower(jobs, again=again).follow()
    assert len(tries) == len(PAUSES_S)


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (Look(state="pending"), Follow()),
        (Look(state="running"), Follow()),
        (Look(state="succeeded", exit_code=0), Finish(0)),
        (Look(state="stopped"), Finish(130)),
        # Its own words are final: the input, or the job, was wrong.
        (Look(state="failed", exit_code=2), Finish(2)),
        (Look(state="failed", exit_code=1), Finish(1)),
        # Killed: memory ran out on the head, or the head's machine went.
        (Look(state="failed", exit_code=137, why="x"), Resubmit(1.0, Tally(in_vain=1), "x")),
        (Look(state="failed", exit_code=-9, why="x"), Resubmit(1.0, Tally(in_vain=1), "x")),
        (Look(state="failed", why="x"), Resubmit(1.0, Tally(in_vain=1), "x")),
        (Look(state="unknown", why="x"), Resubmit(1.0, Tally(in_vain=1), "x")),
        (Look(state="unreachable", silent_s=9, looks_in_vain=1), LookAgain(1.0)),
        (Look(state="unreachable", silent_s=9, looks_in_vain=9), LookAgain(10.0)),
        (
            Look(state="unreachable", silent_s=99, why="x"),
            Abandon("no answer for 99 s: x"),
        ),
    ],
)
def test_each_look_has_one_consequence(look: Look, expected: Decision) -> None:
    assert after_look(look, Tally(), 0, supervised=True, patience_s=60) == expected


def test_progress_gives_all_tries_back() -> None:
    tally = Tally(step=10, in_vain=5)
    look = Look(state="unknown", why="gone")
    stuck = after_look(look, tally, 10, supervised=True, patience_s=60)
    moved = after_look(look, tally, 11, supervised=True, patience_s=60)
    assert isinstance(stuck, Abandon)
    assert moved == Resubmit(1.0, Tally(step=11, in_vain=1), "gone")


@pytest.mark.parametrize(
    ("code", "killed"),
    [(0, False), (1, False), (2, False), (75, False), (130, False), (137, True), (-9, True)],
)
def test_a_killed_command_is_told_from_one_that_ended(code: int, *, killed: bool) -> None:
    assert was_killed(code) is killed
