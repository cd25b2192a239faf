"""``ray up`` and ``ray down`` as a person types them, with the project's file.

AWS is moto. What goes to a machine by ssh and rsync is written down instead, and answered as a
machine with Docker would: no machine is there to type it on.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.launch.aws_world import World, make_groundwork, tags
from tests.stores.s3_server import credentials, s3_server

pytestmark = pytest.mark.timeout(700)

SSH = """\
#!/bin/sh
typed="$*"
printf '%s\\n' "ssh $typed" >> {log}
case "$typed" in
  *"Config.Env"*) echo '["HOME=/home/ray"]' ;;
  *"State.Running"*) grep -q 'docker run' {log} && echo true || echo false ;;
  *"printenv HOME"*) echo /home/ray ;;
  *"command -v docker"*) echo /usr/bin/docker ;;
  *"Runtimes"*) echo 'map[nvidia runc]' ;;
  *"/proc/meminfo"*) echo 'MemAvailable: 15000000 kB' ;;
esac
exit 0
"""
RSYNC = """\
#!/bin/sh
printf '%s\\n' "rsync $*" >> {log}
for word in "$@"; do [ -f "$word" ] && cp "$word" {log}.sent/; done
exit 0
"""


@dataclass
class Laptop:
    """A person's machine: a folder to be in, a home, and what was typed on other machines."""

    folder: Path
    environment: dict[str, str]
    log: Path

    def ray(self, *words: str) -> str:
        command = [str(Path(sys.executable).with_name("ray")), *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sent(self, begins: str) -> list[Path]:
        """Files that went to a machine, by the beginning of their names."""
        return sorted(Path(f"{self.log}.sent").glob(f"{begins}*"))

    def typed(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        pytest.MonkeyPatch.context() as patch,
        s3_server(tmp_path_factory.mktemp("aws")) as server,
    ):
        for name, value in credentials(server.url).items():
            patch.setenv(name, value)
        yield make_groundwork(server)


@pytest.fixture
def laptop(world: World, tmp_path: Path) -> Laptop:
    folder, home, log = tmp_path / "project", tmp_path / "home", tmp_path / "typed"
    for made in (folder, home / ".ray", tmp_path / "bin", tmp_path / "typed.sent"):
        made.mkdir(parents=True)
    (home / ".ray/auth_token").write_text("0" * 32)
    (folder / "cluster.yaml").write_text(yaml.safe_dump(world.config))
    for name, text in (("ssh", SSH), ("rsync", RSYNC)):
        program = tmp_path / "bin" / name
        program.write_text(text.format(log=log))
        program.chmod(0o755)
    environment = {
        **os.environ,
        **credentials(world.server.url),
        "HOME": str(home),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
        # Ray looks every five seconds whether a machine is there.
        "AUTOSCALER_NODE_SSH_INTERVAL_S": "1",
    }
    return Laptop(folder, environment, log)


def test_a_head_is_brought_up_through_the_tunnel_behind_a_token_and_taken_down(
    world: World, laptop: Laptop
) -> None:
    laptop.ray("up", "-y", "--no-config-cache", "cluster.yaml")
    [head] = world.machines().values()
    assert tags(head)["ray-node-status"] == "up-to-date"
    typed = laptop.typed()
    # To the machine's id, through AWS's tunnel; nobody asks for an address.
    calls = [line for line in typed if line.startswith("ssh ")]
    assert calls
    for line in calls:
        assert f"ubuntu@{head['InstanceId']}" in line
        assert "ProxyCommand=aws ec2-instance-connect open-tunnel --instance-id %h" in line
    [container] = [line for line in typed if "docker run" in line]
    assert "--env RAY_AUTH_MODE=token" in container
    assert "--net=host" in container
    assert any(line.startswith("rsync ") and "auth_token" in line for line in typed)
    order = [
        next(number for number, line in enumerate(typed) if words in line)
        for words in (
            "docker run",
            "--require-hashes",
            "--no-deps /home/ray/orchestrator",
            "ray start --head",
            "orchestrator watch --cloud aws",
            "mlflow server --host 127.0.0.1",
            "orchestrator record s3://my-bucket/runs",
        )
    ]
    assert order == sorted(order)
    # What Ray puts before a command does not undo what the command says.
    started = typed[order[3]]
    assert started.rindex("RAY_enable_autoscaler_v2=0") > started.find(
        "RAY_enable_autoscaler_v2=1"
    )
    # The head reaches workers by their inner addresses, and has none of a person's credentials.
    [told] = [yaml.safe_load(file.read_text()) for file in laptop.sent("ray-bootstrap-")]
    assert told["auth"] == {"ssh_user": "ubuntu", "ssh_private_key": "~/ray_bootstrap_key.pem"}
    assert told["available_node_types"].keys() == world.config["available_node_types"].keys()
    laptop.ray("down", "-y", "cluster.yaml")
    assert world.machines() == {}
