"""Hosts on one machine: each has its own network address, processes, name and /tmp/ray.

A world is a user namespace with a bridge in it; a host is a network, process, mount and name
namespace on that bridge. All of it vanishes with the world's first process, and so does
whatever still runs in it: nothing that a test starts can outlive it, or meet other clusters.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

READY_S = 20.0
ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
NETWORK = "10.77.0"

# The first process of a host inherits those whose parents die, and has to bury them: ignoring
# their ends does. Whoever waits for such a one to vanish would wait in vain otherwise.
_WORLD = """
ip link set lo up
ip link add br0 type bridge && ip link set br0 up
echo ready; exec cat
"""
# Shared folders stay as they are; only Ray's own is this host's alone.
_HOST = """
hostname "$0" && ip link set lo up
mount -t tmpfs none /tmp/ray
trap '' CHLD; echo ready; exec cat
"""
_NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc"]


@cache
def why_not() -> str | None:
    """Why this machine cannot have worlds; None where it can."""
    try:
        with world() as made:
            made.host("probe", 9)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return f"no namespaces on this machine: {error}"
    return None


@pytest.fixture(scope="session")
def hosts_allowed() -> None:
    """Skips where namespaces are not to be had."""
    if reason := why_not():
        pytest.skip(reason)


@dataclass
class Host:
    """One machine of the world."""

    name: str
    address: str
    init: int
    """Its first process, as this machine numbers it."""

    holder: "subprocess.Popen[str]"
    environment: dict[str, str]
    started: "list[subprocess.Popen[bytes]]"
    """All commands of the world, which it buries in the end."""

    def command(self, *words: str) -> list[str]:
        """What runs a command on this host."""
        inside = ["--user", "--net", "--mount", "--pid", "--uts", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.init), *inside, *words]

    def start(self, *words: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start a command on this host; what it says goes to a file."""
        return self._start(self.command(*words), log)

    def run(self, *words: str, within_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a command on this host to its end."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
            env=self.environment,
            cwd=ROOT,
        )

    def beside(self, *words: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start a command in this host's network alone: where a person's tunnel ends.

        It is a process of this machine: it can be signalled, and lives on when the host's do
        not.
        """
        inside = ["--user", "--net", "--preserve-credentials"]
        return self._start(["nsenter", "--target", str(self.init), *inside, *words], log)

    def _start(self, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.environment,
                cwd=ROOT,
            )
        self.started.append(process)
        return process

    def end_all(self) -> None:
        """Kill all that runs on it; its network stays."""
        self.run("sh", "-c", "kill -9 -1")

    def power_off(self) -> None:
        """End it and all that runs on it, at once."""
        # Leaving it waits for its end, and closes its pipes.
        with self.holder:
            self.holder.kill()


@dataclass
class World:
    """A bridge, and the hosts on it."""

    init: int
    environment: dict[str, str]
    hosts: dict[str, Host] = field(default_factory=dict)
    started: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def host(self, name: str, number: int, *, wired: bool = True) -> Host:
        """Switch a host on, or on again: its address is the network's and its number.

        Args:
            name: Its name.
            number: The last part of its address.
            wired: Whether its cable goes straight to the bridge.
        """
        address = f"{NETWORK}.{number}"
        holder = _hold([*self._inside(), *_NAMESPACES, "sh", "-ec", _HOST, name])
        init = _child_of(holder.pid)
        made = Host(name, address, init, holder, self.environment, self.started)
        self.hosts[name] = made
        # A host that was switched off may not be gone yet, nor its end of the wire.
        self.link("delete", f"to-{name}", may_fail=True)
        peer = ["peer", "name", "eth0", "netns", str(made.init)]
        self.link("add", f"to-{name}", "type", "veth", *peer)
        self.link("set", f"to-{name}", *(("master", "br0", "up") if wired else ("up",)))
        made.run("ip", "address", "add", f"{address}/24", "dev", "eth0").check_returncode()
        made.run("ip", "link", "set", "eth0", "up").check_returncode()
        return made

    def lossy_wire(self, name: str, loss: Path, log: Path) -> "subprocess.Popen[bytes]":
        """Lay a wire from a host's cable to the bridge that loses what ``loss`` says."""
        self.link("add", f"a-{name}", "type", "veth", "peer", "name", f"b-{name}")
        self.link("set", f"a-{name}", "up")
        self.link("set", f"b-{name}", "master", "br0", "up")
        program = [sys.executable, str(ROOT / "tests/launch/lossy_wire.py")]
        return self.start(*program, f"to-{name}", f"a-{name}", str(loss), log=log)

    def cut(self, name: str) -> None:
        """Pull a host's cable."""
        self.link("set", f"to-{name}", "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self.link("set", f"to-{name}", "up")

    def link(self, *words: str, may_fail: bool = False) -> None:
        """``ip link`` on the bridge's side."""
        command = [*self._inside(), "ip", "link", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode and not may_fail:
            raise RuntimeError(f"ip link {' '.join(words)}: {done.stderr.strip()}")

    def start(self, *words: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start a command on the bridge's side."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*self._inside(), *words], stdout=out, stderr=out, cwd=ROOT
            )
        self.started.append(process)
        return process

    def _inside(self) -> list[str]:
        inside = ["--user", "--net", "--mount", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.init), *inside]


@contextmanager
def world(**environment: str) -> Iterator[World]:
    """A world without a host; whatever runs in it ends with the block.

    Args:
        environment: Of every command on its hosts, beside this process's own.
    """
    Path("/tmp/ray").mkdir(exist_ok=True)
    flags = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    holder = _hold(["unshare", *flags, "sh", "-ec", _WORLD])
    # Another cluster's address or token is not this one's.
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    known |= {"PYTHONPATH": str(ROOT), **environment}
    known["PATH"] = f"{Path(sys.executable).parent}:{known['PATH']}"
    made = World(_child_of(holder.pid), known)
    try:
        yield made
    finally:
        for host in made.hosts.values():
            host.power_off()
        for process in made.started:
            # Those on a host went with it.
            end(process)
        with holder:
            holder.kill()


def _hold(command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start the first process of a namespace, which ends when its input does: with this one."""
    # unshare's child would outlive it otherwise.
    place = command.index("unshare") + 1
    whole = [*command[:place], "--kill-child", *command[place:]]
    holder = subprocess.Popen(
        whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdout.readline() != "ready\n":
        holder.kill()
        raise RuntimeError(holder.stderr.read().strip() or "no answer")
    return holder


def _child_of(pid: int) -> int:
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        with suppress(OSError, ValueError):
            return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        time.sleep(0.05)
    raise RuntimeError(f"process {pid} has no child")


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGKILL) -> int:
    """Signal a process that a test started, and wait for its end."""
    if process.poll() is None:
        process.send_signal(number)
    return process.wait(30)
