"""Ray on hosts as a launcher starts it: behind a token, with the dashboard on loopback."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.cluster.local import FAST_HEALTH_CHECK
from orchestrator.storage import Store
from orchestrator.tracking.events import Event
from orchestrator.tracking.run_log import read_log
from tests.launch.worlds import PROGRAM, Host, World

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
FAST = f"--system-config={json.dumps(FAST_HEALTH_CHECK)}"
HEAD = [
    "--head",
    "--port=6379",
    "--dashboard-host=127.0.0.1",
    "--dashboard-port=8265",
]
STORE = "--object-store-memory=300000000"
UP_S = 90.0
DASHBOARD = "http://127.0.0.1:8265"


def settings(folder: Path) -> dict[str, str]:
    """The environment of a cluster's machines, with a token of its own."""
    token = folder / "token"
    if not token.exists():
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        # The logs of this machine's own commands.
        "HOME": str(folder),
        "NO_COLOR": "1",
    }


@dataclass
class Machines:
    """A cluster over hosts."""

    world: World
    folder: Path
    logs: list[Path] = field(default_factory=list)
    """Of every start of Ray."""

    def start_head(self, host: Host, *more: str, **environment: str) -> None:
        """Start Ray's head on a host, and wait until it is up.

        Args:
            host: Where.
            more: Further flags of ``ray start``.
            environment: Of the head's processes alone.
        """
        told = replace(host, environment={**host.environment, **environment})
        self._wait_for(self._ray_start(told, *HEAD, f"--node-ip-address={host.address}", *more))

    def start_workers(self, head: Host, *hosts: Host) -> None:
        """Have hosts join, each with one worker's place on it."""
        own = ("--num-cpus=2", '--resources={"slot": 1}', f"--address={head.address}:6379")
        logs = [self._ray_start(h, *own, f"--node-ip-address={h.address}") for h in hosts]
        for log in logs:
            self._wait_for(log)

    def _ray_start(self, host: Host, *flags: str) -> Path:
        log = self.folder / f"ray-{host.name}-{len(self.logs)}.log"
        self.logs.append(log)
        command = [*RAY, "start", "--block", "--disable-usage-stats", STORE, *flags]
        host.start(*command, log=log)
        return log

    @staticmethod
    def _wait_for(log: Path) -> None:
        until(lambda: "Ray runtime started" in log.read_text(), log.read_text, UP_S)

    def orchestrator(self, host: Host, *words: str, log: Path) -> "subprocess.Popen[bytes]":
        """Type a command at the end of a tunnel to a host."""
        return host.beside(*PROGRAM, *words, log=log)

    def answer(self, host: Host, *words: str) -> Any:
        """What a command says with ``--json``."""
        out, log = self.folder / "answer.out", self.folder / "answer.log"
        inside = ["nsenter", "--target", str(host.init), "--user", "--net"]
        with log.open("ab") as said:
            done = subprocess.run(
                [*inside, "--preserve-credentials", *PROGRAM, *words, "--json"],
                stdout=subprocess.PIPE,
                stderr=said,
                env=host.environment,
                timeout=120,
                check=False,
            )
        out.write_bytes(done.stdout)
        assert done.returncode == 0, log.read_text()
        return json.loads(done.stdout.splitlines()[-1])


def until(
    is_so: Callable[[], Any], state: Callable[[], Any], within_s: float, pause_s: float = 0.2
) -> Any:
    """Wait until something is so, and return what made it so."""
    end_s = time.monotonic() + within_s
    while not (found := is_so()):
        assert time.monotonic() < end_s, f"not so after {within_s:.0f} s:\n{state()}"
        time.sleep(pause_s)
    return found


@dataclass
class Run:
    """A run's folder, as whoever shares the storage reads it."""

    folder: Path

    def events(self, *kinds: str) -> list[Event]:
        """What its log holds of some kinds, or all of it."""
        found = read_log(Store.open(str(self.folder)))
        return [event for event in found if not kinds or event["kind"] in kinds]

    def step(self) -> int:
        """The newest finished one."""
        return max((int(event["step"] or 0) for event in self.events("step")), default=0)

    def world_size(self) -> int:
        """Of the newest finished step."""
        steps = self.events("step")
        return int(steps[-1]["world_size"] or 0) if steps else 0

    def wait_for_step(self, step: int, within_s: float = 120.0) -> int:
        """Return once a step is done."""
        until(lambda: self.step() >= step, self.tail, within_s)
        return self.step()

    def wait_for_workers(self, workers: int, within_s: float = 120.0) -> None:
        """Return once a step was done by so many, after all steps that are done now."""
        begun = len(self.events("step"))

        def is_so() -> bool:
            return any(e["world_size"] == workers for e in self.events("step")[begun:])

        until(is_so, self.tail, within_s)

    def tail(self) -> str:
        """Its last events, for a message."""
        return "\n".join(json.dumps(event) for event in self.events()[-15:])

    def result(self) -> dict[str, Any]:
        """What a finished run left."""
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found
