"""The three clouds' metadata services, as they answer; tests set what they announce."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.metadata.server import Reply

MISSING = Reply(status=404)


@dataclass
class FakeAws:
    """EC2 with tokens; nothing is told without one that it gave out."""

    interruption: Any = None
    rebalance: Any = None
    ttl_s: int = 21_600
    tokens: list[str] = field(default_factory=list)
    """All given out so far; those that hold are ``good``."""
    good: set[str] = field(default_factory=set)

    def revoke(self) -> None:
        self.good.clear()

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if path == "/latest/api/token":
            return self._give_token(headers) if method == "PUT" else Reply(status=405)
        if headers.get("X-aws-ec2-metadata-token") not in self.good:
            return Reply(status=401)
        announced = {
            "/latest/meta-data/spot/instance-action": self.interruption,
            "/latest/meta-data/events/recommendations/rebalance": self.rebalance,
        }.get(path)
        return MISSING if announced is None else Reply(body=as_body(announced))

    def _give_token(self, headers: Mapping[str, str]) -> Reply:
        if "X-aws-ec2-metadata-token-ttl-seconds" not in headers:
            return Reply(status=400)
        self.tokens.append(f"token-{len(self.tokens)}==")
        self.good.add(self.tokens[-1])
        granted = {"X-aws-ec2-metadata-token-ttl-seconds": str(self.ttl_s)}
        return Reply(body=self.tokens[-1].encode(), headers=granted)


@dataclass
class FakeGcp:
    """Compute Engine: TRUE or FALSE."""

    preempted: bytes = b"FALSE"

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("Metadata-Flavor") != "Google" or method != "GET":
            return Reply(status=403)
        flavor = {"Metadata-Flavor": "Google"}
        if path == "/":
            return Reply(body=b"0.1/\ncomputeMetadata/\n", headers=flavor)
        if path == "/computeMetadata/v1/instance/preempted":
            return Reply(body=self.preempted, headers=flavor)
        return MISSING


@dataclass
class FakeAzure:
    """Azure: a list of events, of this machine and its neighbours."""

    name: str = "trainer_7"
    events: Any = field(default_factory=list)
    first_delay_s: float = 0.0
    """How long the first question for events takes."""

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("Metadata") != "true" or method != "GET":
            return Reply(status=400)
        if path == "/metadata/instance/compute?api-version=2021-02-01":
            return Reply(body=as_body({"name": self.name, "location": "westeurope"}))
        if path != "/metadata/scheduledevents?api-version=2020-07-01":
            return MISSING
        delay_s, self.first_delay_s = self.first_delay_s, 0.0
        listed = {"DocumentIncarnation": 3, "Events": self.events}
        whole = isinstance(self.events, bytes)
        return Reply(body=self.events if whole else as_body(listed), delay_s=delay_s)


def azure_event(**fields: Any) -> dict[str, Any]:
    """A machine of ours is about to be taken; fields replace their own."""
    return {
        "EventId": "C7061BAC",
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": ["trainer_7"],
        "EventStatus": "Scheduled",
        "NotBefore": "Mon, 19 Sep 2016 18:29:47 GMT",
        **fields,
    }


def as_body(announced: Any) -> bytes:
    return announced if isinstance(announced, bytes) else json.dumps(announced).encode()
