"""What a driver's end means, from the process itself where that is quick."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cluster.driver import may_pass
from orchestrator.cluster.supervise import FAULT, Died, Ended, read_ending
from orchestrator.errors import (
    ConfigError,
    FaultError,
    InputError,
    JobError,
    LeaseError,
    OrchestratorError,
    StorageError,
)
from orchestrator.storage import Store
from orchestrator.tracking.events import encode, make_event
from orchestrator.tracking.run_log import newest_step


@pytest.mark.parametrize(
    ("code", "word", "expected"),
    [
        (0, b"0", 0),
        (1, b"1", 1),
        (2, b"2", 2),
        (130, b"130", 130),
        # A library crashed after all was said.
        (-signal.SIGSEGV, b"0", 0),
        (-signal.SIGABRT, b"1", 1),
        # Somebody stopped the driver itself, with Ray's handler of SIGTERM in place or not.
        (signal.SIGTERM, b"", 130),
        (-signal.SIGTERM, b"", 130),
        (-signal.SIGINT, b"", 130),
    ],
)
def test_a_driver_that_ended_knowingly_ends_the_command(
    code: int, word: bytes, expected: int
) -> None:
    assert read_ending(code, word) == Ended(expected)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (-signal.SIGKILL, "was killed by SIGKILL"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGABRT, "was killed by SIGABRT"),
        (1, "ended with 1, without a word"),
        (0, "ended with 0, without a word"),
    ],
)
def test_a_driver_that_ended_unknowingly_died_of_a_fault(code: int, problem: str) -> None:
    ending = read_ending(code, b"")
    assert isinstance(ending, Died)
    assert ending.error.problem == problem


def test_a_driver_that_met_a_fault_says_which() -> None:
    ending = read_ending(FAULT, json.dumps(["the journal is lost", "cluster", "Wait"]).encode())
    assert isinstance(ending, Died)
    assert str(ending.error) == "cluster: the journal is lost. Wait."


def caused(error: OrchestratorError, cause: Exception) -> OrchestratorError:
    error.__cause__ = cause
    return error


WORDS = ("a problem", "somewhere", "Mend it")


FIRST, AGAIN = "first", "again"


@pytest.mark.parametrize(
    ("error", "driver", "passes"),
    [
        (FaultError(*WORDS), FIRST, "passes"),
        (StorageError(*WORDS), FIRST, "passes"),
        (caused(StorageError(*WORDS), TimeoutError()), FIRST, "passes"),
        (caused(StorageError(*WORDS), OSError(28, "No space left")), FIRST, "passes"),
        (caused(StorageError(*WORDS), FileNotFoundError()), FIRST, "stays"),
        (caused(StorageError(*WORDS), ModuleNotFoundError()), FIRST, "stays"),
        (caused(StorageError(*WORDS), json.JSONDecodeError("", "", 0)), FIRST, "stays"),
        # A cluster that never was there is a wrong address; one that was there comes back.
        (caused(InputError(*WORDS), ConnectionError()), FIRST, "stays"),
        (caused(InputError(*WORDS), ConnectionError()), AGAIN, "passes"),
        (ConfigError(*WORDS), AGAIN, "stays"),
        (JobError(*WORDS), AGAIN, "stays"),
        (LeaseError(*WORDS), AGAIN, "stays"),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_else(
    error: OrchestratorError, driver: str, passes: str
) -> None:
    assert may_pass(error, again=driver == AGAIN) == (passes == "passes")


def test_progress_is_the_newest_step_of_any_attempt(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    assert newest_step(store) == 0
    done = {"epoch": 0, "loss": 1.0, "samples": 4, "round_s": 0.1, "world_size": 1}
    for step in (1, 2, 3, 2):
        store.append("events.jsonl", encode(make_event("step", step=step, **done)))
    store.append("events.jsonl", encode(make_event("resumed", step=9)))
    assert newest_step(store) == 3


def test_a_store_that_gives_no_answer_shows_no_progress(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    assert newest_step(Store.open(str(tmp_path))) == 0


def test_the_parent_stays_light() -> None:
    program = "import orchestrator.cluster.supervise, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"ray", "torch", "transformers", "mlflow", "pyarrow"} & set(
        loaded.stdout.split()
    )
