"""AWS as moto plays it, with what the page has a person make, and a road that refuses spot."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import yaml

from tests.stores.s3_server import Server

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
PLACEHOLDER = "sg-0123456789abcdef0"
REFUSAL = b"""<?xml version="1.0"?><Response><Errors><Error>
<Code>InsufficientInstanceCapacity</Code>
<Message>There is no Spot capacity available that matches your request.</Message>
</Error></Errors><RequestID>none</RequestID></Response>"""


@dataclass(frozen=True)
class World:
    """A region with the security group and the roles in it."""

    server: Server
    group: str

    @property
    def ec2(self) -> Any:
        return boto3.client("ec2", REGION, endpoint_url=self.server.url)

    @property
    def config(self) -> dict[str, Any]:
        """The project's launcher file, with this world's security group in it."""
        text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
        assert PLACEHOLDER in text
        values: dict[str, Any] = yaml.safe_load(text.replace(PLACEHOLDER, self.group))
        return values

    def machines(self) -> dict[str, dict[str, Any]]:
        """Machines that are not ended, by their node type."""
        return {
            tags(machine)["ray-user-node-type"]: machine
            for reservation in self.ec2.describe_instances()["Reservations"]
            for machine in reservation["Instances"]
            if machine["State"]["Name"] in {"pending", "running"}
        }

    def volume(self, machine: dict[str, Any]) -> dict[str, Any]:
        [disk] = machine["BlockDeviceMappings"]
        [found] = self.ec2.describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
        return dict(found)


def tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


def make_groundwork(server: Server) -> World:
    """What the page has a person make before ``ray up``."""
    ec2 = boto3.client("ec2", REGION, endpoint_url=server.url)
    iam = boto3.client("iam", REGION, endpoint_url=server.url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    tunnel, group = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc["VpcId"])[
            "GroupId"
        ]
        for name in ("orchestrator-tunnel", "orchestrator")
    )
    for protocol, source, port in (("-1", group, None), ("tcp", tunnel, 22)):
        ports = {} if port is None else {"FromPort": port, "ToPort": port}
        rule = {
            "IpProtocol": protocol,
            "UserIdGroupPairs": [{"GroupId": source}],
            **ports,
        }
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    for role in ("head", "worker"):
        name = f"orchestrator-{role}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy("trust"))
        iam.put_role_policy(RoleName=name, PolicyName=role, PolicyDocument=policy(role))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return World(server, group)


def policy(name: str) -> str:
    return (ROOT / f"cloud/aws/{name}.json").read_text(encoding="utf-8")


def actions_alone(name: str) -> str:
    """A policy as far as moto judges it: it knows no conditions of EC2's, nor its resources."""
    statements = json.loads(policy(name))["Statement"]
    kept = [
        {"Effect": one["Effect"], "Action": one["Action"], "Resource": "*"}
        for one in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": kept})


@contextmanager
def roads_without_spot(server: Server) -> Iterator[str]:
    """The address of a relay to the server that has no spot machine to give."""

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = parse_qs(body.decode(errors="replace"))
            if asked.get("InstanceMarketOptions.MarketType") == ["spot"]:
                self._answer(500, "text/xml", REFUSAL)
                return
            request = urllib.request.Request(
                server.url + self.path, data=body, headers=dict(self.headers), method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    kind = answer.headers.get("Content-Type", "text/xml")
                    self._answer(answer.status, kind, answer.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, "text/xml", error.read())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{relay.server_port}"
        relay.shutdown()
