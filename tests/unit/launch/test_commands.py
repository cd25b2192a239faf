"""What is typed on a machine does there what it is typed for."""

import itertools
import os
import re
import subprocess
import time
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from orchestrator.launch.commands import (
    INSTALL,
    LOCK,
    in_background,
    keep_watching,
    serve_records,
    start_head,
    start_worker,
)
from orchestrator.launch.ports import ANY, PORTS, ray_start_ports
from tests.launch.open_ports import OPEN
from tests.unit.launch.conftest import ROOT

UNSHARE = ["unshare", "-Urpf", "--mount-proc", "--kill-child"]
"""A pid namespace of its own: other raylets of this machine are not seen there."""
WATCHMAN = """\
#!/bin/sh
echo "$@" >> {log}
[ $(wc -l < {log}) -ge {lives} ] && exit 0
exit 1
"""


def namespaces_allowed() -> bool:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def watched(folder: Path, *, lives: int, raylet: bool) -> list[str]:
    """Run the loop beside a raylet, or none; the watchman ends well in his last life."""
    if not namespaces_allowed():
        pytest.skip("this machine allows no pid namespaces")
    log, program = folder / "log", folder / "orchestrator"
    program.write_text(WATCHMAN.format(log=log, lives=lives))
    program.chmod(0o755)
    (folder / "raylet").symlink_to("/bin/sleep")
    # The pause between two lives is of no interest here.
    loop = keep_watching("aws").replace("sleep 5", "sleep 0.1")
    beside = f"{folder}/raylet 60 & sleep 0.3; " if raylet else ""
    subprocess.run(
        [*UNSHARE, "sh", "-c", f"{beside}{loop}"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        check=True,
        timeout=60,
        capture_output=True,
    )
    return log.read_text().splitlines()


def test_a_watchman_that_dies_is_started_again_until_his_node_has_ended(
    tmp_path: Path,
) -> None:
    assert watched(tmp_path, lives=3, raylet=True) == ["watch --cloud aws"] * 3


def test_without_a_raylet_he_is_not_started_again(tmp_path: Path) -> None:
    assert watched(tmp_path, lives=3, raylet=False) == ["watch --cloud aws"]


def test_what_is_put_into_the_background_outlives_its_session(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = in_background("sleep 1; echo done", str(log))
    began_s = time.monotonic()
    subprocess.run(["bash", "-c", f"({command})"], check=True, timeout=30)
    assert time.monotonic() - began_s < 20
    until_s = time.monotonic() + 60
    while not (log.exists() and log.read_text() == "done\n"):
        assert time.monotonic() < until_s, "nothing was done in a minute"
        time.sleep(0.05)


def test_ray_start_knows_every_option_that_is_given() -> None:
    from ray.scripts.scripts import start  # noqa: PLC0415

    known = {name for option in start.params for name in option.opts}
    given = set(re.findall(r"--[a-z-]+", f"{start_head()} {start_worker()}"))
    assert given <= known


def test_fixed_ports_are_those_of_the_list_and_meet_nobody_elses() -> None:
    fixed = sorted(port.numbers for port in PORTS if port.numbers != ANY)
    for (_, end), (begin, _) in itertools.pairwise(fixed):
        assert end < begin
    numbers = {int(number) for number in re.findall(r"=(\d+)", ray_start_ports())}
    listed = {end for port in PORTS for end in port.numbers}
    assert numbers <= listed


def test_every_port_says_what_keeps_strangers_out() -> None:
    for port in PORTS:
        assert port.closed_by
        assert port.loopback == ("loopback" in port.closed_by)
        assert port.token == ("token" in port.closed_by)
        assert port.loopback or "group" in port.closed_by


def test_mlflow_and_the_dashboard_listen_on_loopback() -> None:
    assert "--host 127.0.0.1" in serve_records("s3://bucket/mlflow")
    assert "--dashboard-host=127.0.0.1" in start_head()


def test_the_lock_file_holds_every_requirement_in_a_version_that_will_do() -> None:
    text = (ROOT / LOCK).read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))
    for line in requires("orchestrator") or []:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": "s3"}):
            name = re.sub(r"[-_.]+", "-", wanted.name).lower()
            assert wanted.specifier.contains(locked[name]), line
    # Each file by its hash: pip takes no other.
    assert text.count("--hash=sha256:") >= len(locked)
    assert "--require-hashes" in INSTALL[0]


def test_what_was_found_open_is_in_the_list_of_ports_as_closed_by_the_group() -> None:
    listed = {port.name: port for port in PORTS}
    for found in OPEN:
        for name in found.names:
            assert not listed[name].token
            assert "security group" in listed[name].closed_by
