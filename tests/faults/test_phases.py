"""A worker may be killed or frozen in every phase of a step: the same weights, nobody stops."""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.train.loop import TWICE
from tests.faults.fleet import (
    HEARTBEAT_TIMEOUT_MS,
    LIGHTHOUSE,
    PLAN,
    Cue,
    Fleet,
    Phase,
    fleet,
)

pytestmark = pytest.mark.timeout(300)

STEPS = PLAN.num_steps


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Hash of the weights that one worker alone trains."""
    with fleet(tmp_path_factory.mktemp("alone")) as made:
        made.start(0)
        made.wait_until_done(0)
        assert len(made.events("step")) == STEPS
        return made.hashes()


def assert_every_step_once(made: Fleet) -> None:
    steps = [event["step"] for event in made.events("step")]
    assert set(steps) == set(range(1, STEPS + 1))


@pytest.mark.parametrize("phase", get_args(Phase))
def test_a_worker_is_killed_in_any_phase(
    phase: Phase, tmp_path: Path, undisturbed: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with fleet(tmp_path) as made:
        # Rank 0 writes the checkpoints.
        victim = 0 if phase in ("offering", "writing") else 1
        for cell in range(3):
            cue = Cue("kill", phase, step=4) if cell == victim else None
            made.start(cell, cue)
        first = made.processes[victim][0]
        made.wait_for(f"killed while {phase}", lambda: first.exitcode is not None)
        assert first.exitcode == -signal.SIGKILL
        made.start(victim)
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        assert_every_step_once(made)
        # Those who lived did no step twice, and loaded nothing.
        for cell in {0, 1, 2} - {victim}:
            steps = [e["step"] for e in made.events("step") if e["pid"] == pid_of(made, cell)]
            assert steps == sorted(set(steps))
        with capsys.disabled():
            print(f"\nkilled while {phase}: longest gap {made.longest_gap_s():.2f} s")


def pid_of(made: Fleet, cell: int) -> int:
    return int(made.processes[cell][0].pid)


@pytest.mark.parametrize("phase", ["computing", "agreeing", "adding", "committing"])
def test_a_frozen_worker_is_missed_after_a_heartbeat_and_thaws_into_the_present(
    phase: Phase, tmp_path: Path, undisturbed: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with fleet(tmp_path) as made:
        for cell in range(3):
            made.start(cell, Cue("freeze", phase, step=4) if cell == 1 else None)
        pid = pid_of(made, 1)
        made.wait_for(f"frozen while {phase}", lambda: state_of(pid) == "T")
        frozen_at = max(event["step"] for event in made.events("step"))
        made.wait_for(
            "the others go on",
            lambda: max(event["step"] for event in made.events("step")) > frozen_at + 2,
        )
        os.kill(pid, signal.SIGCONT)
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        with capsys.disabled():
            heartbeat_s = HEARTBEAT_TIMEOUT_MS / 1000
            print(f"\nfrozen while {phase}: longest gap {made.longest_gap_s():.2f} s")
            assert made.longest_gap_s() < 10 * heartbeat_s


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_worker_that_leaves_holds_nobody_up(tmp_path: Path, undisturbed: set[str]) -> None:
    with fleet(tmp_path) as made:
        for cell in range(3):
            made.start(cell, Cue("leave", "agreeing", step=4) if cell == 1 else None)
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        [left] = made.events("left")
        assert left["step"] >= 4
        assert_every_step_once(made)
        assert TWICE not in {event["reason"] for event in made.events("redo")}


def test_one_stays_and_all_come_back(tmp_path: Path, undisturbed: set[str]) -> None:
    with fleet(tmp_path) as made:
        made.start(0)
        for cell in (1, 2):
            made.start(cell, Cue("kill", "computing", step=3))
        for cell in (1, 2):
            made.wait_for("killed", lambda cell=cell: made.processes[cell][0].exitcode)
            made.start(cell)
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        assert_every_step_once(made)


def test_the_lighthouse_dies_and_comes_back_and_nobody_starts_anew(
    tmp_path: Path, undisturbed: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with fleet(tmp_path) as made:
        for cell in range(3):
            made.start(cell)
        made.wait_for("three train", lambda: 3 in map(len, cells_of(made)))
        # Several times: each counts its agreements from one, and comes by numbers of the last.
        for life in range(4):
            lighthouse = made.processes[LIGHTHOUSE][life]
            lighthouse.kill()
            lighthouse.join()
            met = meetings(made)
            made.start_lighthouse()
            step = made.newest_step()
            made.wait_for("they go on", lambda step=step: made.newest_step() > step + 2)
            # Whatever number the new agreement has: the last one's may come again.
            made.wait_for(
                "all have met anew",
                lambda met=met: all(n > met[pid] for pid, n in meetings(made).items()),
            )
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        assert len(made.events("up")) == 3
        # Nobody takes himself for alone and computes what another is about to give, but where
        # a busy machine has kept the others from being heard.
        twice = {event["step"] for event in made.events("redo") if event["reason"] == TWICE}
        assert len(twice) <= 2, twice
        with capsys.disabled():
            print(f"\nlighthouse: longest gap {made.longest_gap_s():.2f} s")
            assert made.longest_gap_s() < 5, "who met found old addresses"


def meetings(made: Fleet) -> Counter[int]:
    """How often each process has met the others."""
    return Counter(event["pid"] for event in made.events("quorum"))


def cells_of(made: Fleet) -> list[list[int]]:
    return [event["cells"] for event in made.events("quorum")]


def test_all_die_and_the_newest_checkpoint_leads_to_the_same_weights(
    tmp_path: Path, undisturbed: set[str]
) -> None:
    with fleet(tmp_path) as made:
        for cell in range(3):
            made.start(cell, Cue("kill", "adding", step=8))
        for cell in range(3):
            made.wait_for("killed", lambda cell=cell: made.processes[cell][0].exitcode)
            made.start(cell)
        made.wait_until_done(0, 1, 2)
        assert made.hashes() == undisturbed
        assert made.events("up")[-1]["step"] >= 5
