"""``orchestrator train`` or ``search``, as typed: a parent that starts the driver, and again.

A driver dies of what it cannot help: memory runs short, its cluster is lost, the store does not
answer. The parent loads neither Ray nor torch, so that it is not what dies; it decides nothing
about training, and what the next driver needs to know is in the store.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias, assert_never

from orchestrator.cluster.restarts import PAUSES_S, GiveUp, Restart, Tally, after_fault
from orchestrator.errors import FaultError

STOP_S = 30.0
"""How long a driver may take to clear up when a person ends the command."""
FAULT = 75
"""Exit code from driver to parent: what happened may pass. EX_TEMPFAIL of sysexits.h."""
STOPPED = 130
"""Exit code of a command that a person ended."""
STOPPED_LINE = "stopped; the same command goes on from the last checkpoint"

# Imported by its name, and nothing from the folder that the command is typed in.
_PROGRAM = (sys.executable, "-P", "-c", "from orchestrator.cli import drive; drive()")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Orders:
    """What a driver is told: the job as it was when the command was typed."""

    job_json: str
    address: str | None
    as_json: bool
    again: bool = False
    """Whether there was a driver before: a cluster that is not there was there then."""
    command: str = "train"
    """What was typed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The driver said all that there is to say: its exit code is the command's."""

    code: int


@dataclass(frozen=True, slots=True)
class Died:
    """The driver was lost to something that may pass."""

    error: FaultError


Ending: TypeAlias = Ended | Died


def read_ending(code: int, word: bytes) -> Ending:
    """What a driver's end means.

    Args:
        code: As ``subprocess`` gives it: below 0, the signal that killed it.
        word: What the driver sent last, as JSON: the exit code that it meant, or a fault's
            words. It counts before ``code``: libraries may yet crash as a process ends.
    """
    said = json.loads(word) if word else None
    if isinstance(said, int):
        return Ended(said)
    if said is not None:
        return Died(FaultError(*said))
    # 15 is how Ray ends a process on SIGTERM: somebody meant the driver itself.
    if code in (-signal.SIGINT, -signal.SIGTERM, signal.SIGTERM):
        return Ended(STOPPED)
    # Ray ends a process that has lost the cluster's head with 1, from C++.
    how = f"ended with {code}, without a word"
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    fix = "Look whether memory ran out; the same command goes on from the last checkpoint"
    return Died(FaultError(how, "the driver", fix))


def supervise(orders: Orders, progress: Callable[[], int], say: Callable[[str], None]) -> int:
    """Have a driver work; start it again after each fault.

    Args:
        orders: What the driver is told.
        progress: The newest step that was ever done: how far the work has come.
        say: Shows a person one line.

    Returns:
        The command's exit code.

    Raises:
        FaultError: Too many drivers died without a step in between.
    """
    tally = Tally()
    told = orders
    with _stops_as_interrupts():
        try:
            while True:
                match _one_driver(told):
                    case Ended(code=code):
                        return code
                    case Died(error=error):
                        tally = _pause(tally, progress(), error, say)
                        told = replace(orders, again=True)
                    case never:
                        assert_never(never)
        except KeyboardInterrupt:
            say(STOPPED_LINE)
            return STOPPED


def _pause(tally: Tally, step: int, error: FaultError, say: Callable[[str], None]) -> Tally:
    decision = after_fault(tally, step)
    match decision:
        case GiveUp():
            raise FaultError(
                f"{error.problem}; given up after {tally.in_vain} restarts without a new step",
                error.where,
                error.fix,
            )
        case Restart(pause_s=pause_s, tally=newer):
            tries = f"{newer.in_vain} of {len(PAUSES_S)} tries"
            say(
                f"{error.where}: {error.problem}; starting again in {pause_s:g} s, "
                f"after step {newer.step} ({tries})"
            )
            time.sleep(pause_s)
            return newer
        case _:
            assert_never(decision)


def _one_driver(orders: Orders) -> Ending:
    """Start a driver and wait for its end; one that is told to stop may clear up first.

    Raises:
        KeyboardInterrupt: A person wants the command to end, and the driver said nothing.
    """
    ours, theirs = socket.socketpair()
    with ours, _start(theirs) as driver:
        theirs.close()
        try:
            _send(ours, json.dumps(asdict(orders)).encode() + b"\n")
            return read_ending(driver.wait(), _last_word(ours))
        except KeyboardInterrupt:
            ending = read_ending(_stop(driver), _last_word(ours))
            if isinstance(ending, Died):
                raise
            return ending


def _start(channel: socket.socket) -> "subprocess.Popen[bytes]":
    # Not in our process group: a terminal's Ctrl-C is to reach it once, and through us. Until
    # it can answer, the signal waits: it is blocked here, which a new process takes over.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        return subprocess.Popen(_PROGRAM, stdin=channel.fileno(), process_group=0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(channel: socket.socket, line: bytes) -> None:
    # A driver that is gone already does not hear it: how it ended says why.
    with suppress(OSError):
        channel.sendall(line)


def _last_word(channel: socket.socket) -> bytes:
    channel.settimeout(0.0)
    try:
        return channel.recv(1 << 16)
    except OSError:
        return b""


def _stop(driver: "subprocess.Popen[bytes]") -> int:
    """End the driver; whoever cannot wait asks a second time."""
    driver.send_signal(signal.SIGINT)
    try:
        return driver.wait(STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        driver.kill()
        return driver.wait()


@contextmanager
def _stops_as_interrupts() -> Iterator[None]:
    """Take every signal that means "stop" for Ctrl-C."""
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    for number, handler in before.items():
        # What is ignored was told to be: by nohup, or by a shell for its background.
        if handler != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
