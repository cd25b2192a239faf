"""What a person sees, what a program reads, and what goes to the log."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress

from orchestrator.screen import SAY_EVERY_S, Bar

# What writes to the descriptors does so from Python, from C, and from processes of its own.
PROGRAM = """\
import os, subprocess, sys
from pathlib import Path
from orchestrator.screen import Screen

print("before")
screen = Screen(Path("logs/deep/run.log"))
print("python out", flush=True)
print("python err", file=sys.stderr)
os.write(1, b"c out\\n")
os.write(2, b"c err\\n")
subprocess.run(["sh", "-c", "echo child out; echo child err >&2"], check=True)
screen.say("a person reads this: [1, 3] [bold] :key: " + "x" * 300)
with screen.bar("Training", 3) as bar:
    bar.move(1, note="loss 2.0")
    print("others talk on")
    bar.move(3, note="loss 1.0")
screen.show("result", [("path", "a[b]c"), ("loss", "1.0")])
screen.print_json('{"loss": 1.0}')
print("after")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("screen")


@pytest.fixture(scope="module")
def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


Run = subprocess.CompletedProcess[str]


def test_stdout_is_for_programs(run: Run) -> None:
    assert run.stdout == 'before\n{"loss": 1.0}\n'


def test_everybody_elses_talk_is_in_the_log(run: Run, folder: Path) -> None:
    log = (folder / "logs/deep/run.log").read_text().splitlines()
    talk = [f"{who} {where}" for who in ("python", "c", "child") for where in ("out", "err")]
    assert sorted(log) == sorted([*talk, "others talk on", "after"])
    assert not any(line in run.stderr for line in talk)


def test_a_line_for_a_person_stays_one_line_as_it_was_written(run: Run) -> None:
    assert run.stderr.splitlines()[0] == (
        "a person reads this: [1, 3] [bold] :key: " + "x" * 300
    )


def test_progress_leaves_a_line_where_there_is_no_terminal(run: Run) -> None:
    assert "Training: 3, loss 1.0 (0 s)" in run.stderr.splitlines()


def test_a_table_shows_what_it_was_given(run: Run) -> None:
    lines = [line.strip("│ ").split() for line in run.stderr.splitlines()]
    assert ["path", "│", "a[b]c"] in lines
    assert ["loss", "│", "1.0"] in lines


TABLE = """\
from pathlib import Path
from orchestrator.screen import Screen

screen = Screen(Path("logs/run.log"))
with screen.table(("trial", "status")) as table:
    for status in ("running", "finished"):
        table.show("2 trials", [("first", status), ("second", status)])
        screen.say(f"now {status}")
screen.say("over")
"""


def on_a_terminal(program: str, folder: Path) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65_536)
        except OSError:
            # How a terminal says that its last writer is gone.
            break
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode()


def test_a_table_is_drawn_anew_where_it_stands_and_lines_stay_above_it(tmp_path: Path) -> None:
    said = on_a_terminal(TABLE, tmp_path)
    assert said.index("now running") < said.index("now finished") < said.index("over")
    assert all(word in said for word in ("2 trials", "first", "second", "status"))
    # Back to where the table began: it is not drawn below itself.
    assert "\x1b[1A" in said


def test_where_there_is_no_terminal_a_table_says_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TABLE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines() == ["now running", "now finished", "over"]


def test_without_a_terminal_a_line_says_now_and_then_how_far_it_is() -> None:
    now_s, said = [0.0], []
    with Progress(disable=True) as progress:
        bar = Bar(progress, "Training", 30, said.append, lambda: now_s[0])
        for step in range(1, 31):
            now_s[0] += SAY_EVERY_S / 10
            bar.move(step, note="loss 1.0")
    assert said == [f"Training: {step} of 30, loss 1.0" for step in (10, 20, 30)]
