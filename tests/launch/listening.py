"""Every port that the processes of a host listen on, as the kernel lists them.

    python -m tests.launch.listening

Run on the host itself; prints one JSON list.
"""

import json
import re
import socket
import struct
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LISTENS = "0A"
ROLES = {
    "gcs_server": r"gcs_server",
    "raylet": r"raylet/raylet",
    "dashboard": r"dashboard/dashboard\.py|ray-dashboard",
    "agent": r"dashboard/agent\.py|ray::DashboardAgent",
    "runtime_env_agent": r"runtime_env/agent|ray::RuntimeEnvAgent",
    "monitor": r"autoscaler/.*monitor\.py",
    "client server": r"ray\.util\.client\.server",
    "lighthouse": r"ray::Lighthouse",
    "cell": r"ray::RayTrainWorker|ray::.*RayTrainWorker",
    "controller": r"ray::TrainController",
    "journal": r"ray::Journal",
    "hand-out": r"ray::HandOut",
    "cells": r"cluster\.cells import",
    "driver": r"import drive; drive\(\)",
    "job supervisor": r"ray::JobSupervisor|ray::_ray_internal_job_actor",
    "ray worker": r"ray::",
}


@dataclass(frozen=True)
class Port:
    """One listening socket."""

    address: str
    port: int
    role: str
    command: str


def listening() -> list[Port]:
    owners = sockets_of_processes()
    found = []
    for file in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{file}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS:
                address, port = fields[1].split(":")
                command = owners.get(fields[9], "")
                found.append(Port(plain(address), int(port, 16), role_of(command), command))
    return found


def sockets_of_processes() -> dict[str, str]:
    """Command line by the number of a socket that the process holds."""
    owners: dict[str, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for each in (folder / "fd").iterdir():
                if number := re.match(r"socket:\[(\d+)\]", str(each.readlink())):
                    owners[number[1]] = command
    return owners


def role_of(command: str) -> str:
    return next((role for role, words in ROLES.items() if re.search(words, command)), "unknown")


def plain(address: str) -> str:
    """The kernel's way to write an address, as people do."""
    words = [
        struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8)
    ]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, b"".join(words))


if __name__ == "__main__":
    print(json.dumps([asdict(port) for port in listening()]))
