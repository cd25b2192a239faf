"""The page's own commands for AWS, typed as they stand, against moto."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.launch.aws_world import REGION, ROOT
from tests.stores.s3_server import Server, credentials, s3_server

PAGE = (ROOT / "docs/launch.md").read_text(encoding="utf-8")
MISSING = "instance-connect-endpoint"
"""What moto does not play."""

pytestmark = pytest.mark.skipif(
    shutil.which("aws") is None, reason="AWS's command line is not on this machine"
)


def block(word: str) -> str:
    """The one block of commands with a word in it, as far as moto goes."""
    [found] = [one for one in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if word in one]
    lines = [line for line in found.splitlines() if MISSING not in line]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("aws")) as server:
        yield server


def typed(server: Server, home: Path, commands: str) -> str:
    environment = {
        **os.environ,
        **credentials(server.url),
        "HOME": str(home),
        "AWS_REGION": REGION,
        "AWS_PAGER": "",
    }
    answer = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def of(server: Server, service: str) -> Any:
    return boto3.client(
        service,
        REGION,
        endpoint_url=server.url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )


def test_the_groundwork_is_made_and_taken_away_by_the_commands_of_the_page(
    server: Server, tmp_path: Path
) -> None:
    made = block("create-security-group")
    group = typed(server, tmp_path, made).split()[-1]
    ec2, iam, s3 = (of(server, name) for name in ("ec2", "iam", "s3"))
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    open_to = [
        (rule["IpProtocol"], rule.get("FromPort"), len(rule["IpRanges"]))
        for rule in found["IpPermissions"]
    ]
    assert sorted(open_to, key=str) == [("-1", None, 0), ("tcp", 22, 0)]
    for role in ("head", "worker"):
        profile = iam.get_instance_profile(InstanceProfileName=f"orchestrator-{role}")
        [held] = profile["InstanceProfile"]["Roles"]
        assert held["RoleName"] == f"orchestrator-{role}"
    closed = s3.get_public_access_block(Bucket="my-bucket")["PublicAccessBlockConfiguration"]
    assert all(closed.values())
    # The same shell knows the ids that it printed.
    ids = f"GROUP={group}; BUCKET=my-bucket; SUBNET=none; TUNNEL=$(aws ec2 " + (
        "describe-security-groups --filters Name=group-name,Values=orchestrator-tunnel "
        "--query 'SecurityGroups[0].GroupId' --output text)"
    )
    typed(server, tmp_path, f"{ids}\n{block('delete-security-group')}")
    assert s3.list_buckets()["Buckets"] == []
    assert not [
        one for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("orchestrator")
    ]
    names = {one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    assert names == {"default"}


def test_the_page_asks_what_is_left_in_words_that_aws_takes(
    server: Server, tmp_path: Path
) -> None:
    commands = [line for line in block("ray down").splitlines() if line.startswith("aws")]
    assert len(commands) == 2
    assert typed(server, tmp_path, "\n".join(commands)).strip() == ""
