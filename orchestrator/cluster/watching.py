"""One node's watchman: what its cloud announces becomes a drain of the machine's Ray node.

It runs beside the raylet of every node, so it must be light: a client of the GCS, no worker.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, assert_never

from orchestrator.cluster.internals import (
    NodeInfo,
    alive_nodes,
    check_version,
    cluster_address,
    connect_gcs,
    drain_node,
    is_alive,
    leave_note,
)
from orchestrator.errors import FaultError, InputError
from orchestrator.spot.clock import Clock
from orchestrator.spot.clouds import CLOUDS, find_cloud
from orchestrator.spot.metadata import Metadata
from orchestrator.spot.notice import Notice
from orchestrator.spot.watch import Source, follow

Say = Callable[[str], None]

RETRY_EVERY_S = 1.0
STARTED_WITHIN_S = 60.0
"""How long to wait for a cluster and a node that are only just being started."""
ASKED_EVERY_S = 10.0
_LISTENS_TIMEOUT_S = 2.0
_HEAD_WARNING = "It is the head: the driver of every run lives there, and goes with it"


class OwnNode(Protocol):
    """The Ray node of this machine. Must answer within seconds, or raise ``FaultError``."""

    def drain(self, deadline_s: float | None, why: str, /) -> None:
        """Announce its end."""
        ...

    def leave_note(self, kind: str, note: dict[str, str | float], /) -> None:
        """Leave word of it for the head."""
        ...

    def gone(self) -> str | None:
        """Why it is no more; None while it is."""
        ...


@dataclass(slots=True)
class RayNode:
    """The real one."""

    client: Any
    info: NodeInfo
    clock: Clock
    _asked_s: float = field(default=0.0, init=False)

    def drain(self, deadline_s: float | None, why: str, /) -> None:
        drain_node(self.client, self.info.node_id, deadline_s, why)

    def leave_note(self, kind: str, note: dict[str, str | float], /) -> None:
        leave_note(self.client, kind, self.info.node_id, note)

    def gone(self) -> str | None:
        if not _listens(self.info.host, self.info.port):
            return "its raylet has ended"
        if self.clock.now_s() < self._asked_s + ASKED_EVERY_S:
            return None
        self._asked_s = self.clock.now_s()
        try:
            return None if is_alive(self.client, self.info.node_id) else "Ray holds it for dead"
        except FaultError:
            # A raylet whose GCS stays away ends itself, and is missed above.
            return None


@dataclass(slots=True)
class Messenger:
    """Takes notices to Ray, as often as it needs until they have arrived.

    Alive in it is what has not arrived yet.
    """

    node: OwnNode
    clock: Clock
    say: Say
    warning: str = ""
    """Said with every drain."""

    _waiting: list[Notice] = field(default_factory=list, init=False)
    _trouble: str = field(default="", init=False)

    def take(self, news: tuple[Notice, ...]) -> None:
        """Take on what is new."""
        for notice in news:
            undelivered = [one for one in self._waiting if one.id == notice.id]
            if notice.kind == "cancelled" and undelivered:
                self.say(f"{notice.action} is cancelled, before Ray was told of it")
                self._waiting = [one for one in self._waiting if one.id != notice.id]
            else:
                self._waiting.append(notice)

    def deliver(self) -> bool:
        """Tell Ray what it has not been told; True when all has arrived or is too late."""
        # The most urgent first. Sorting is stable: of two drains, the later one holds.
        for notice in sorted(self._waiting, key=lambda one: one.kind != "interruption"):
            try:
                self._tell(notice)
            except FaultError as error:
                self._complain(notice, error)
                break
            self._waiting.remove(notice)
            self._trouble = ""
        return not self._waiting

    def _tell(self, notice: Notice) -> None:
        now_s = self.clock.now_s()
        note: dict[str, str | float] = {
            "id": notice.id,
            "wall_s": now_s,
            "action": notice.action,
        }
        match notice.kind:
            case "interruption":
                end = described(notice, now_s)
                self.node.drain(notice.deadline_s, end)
                self.say(f"{end}: the node is drained. {self.warning}".rstrip(". "))
            case "rebalance":
                self.node.leave_note("rebalance", note)
                self.say("an interruption is likelier than usual: a checkpoint is asked for")
            case "cancelled":
                self.node.leave_note("cancelled", note)
                self.say(
                    f"{notice.action} is cancelled, but Ray takes no drain back: the node gets "
                    "no more work. Restart Ray on it, or replace it"
                )
            case _:
                assert_never(notice.kind)

    def _complain(self, notice: Notice, error: FaultError) -> None:
        if self._trouble != error.problem:
            self._trouble = error.problem
            self.say(f"{notice.kind} cannot be told to Ray: {error.problem}; trying again")
        if notice.deadline_s is not None and notice.deadline_s < self.clock.now_s():
            self._waiting.remove(notice)
            self.say(f"{notice.action}: its time has come, and Ray could not be told")


def described(notice: Notice, now_s: float) -> str:
    """An interruption in a person's words."""
    if notice.deadline_s is None:
        return f"{notice.action} has begun"
    left_s = notice.deadline_s - now_s
    words = f"{notice.action} at {utc(notice.deadline_s)}, in {left_s:.0f} s"
    if notice.clock_ahead_s:
        words += f" (this clock is {notice.clock_ahead_s:+.0f} s off the cloud's, allowed for)"
    return words


def utc(seconds: float) -> str:
    """Seconds since 1970 as a time of day, with its date."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def keep_watch(source: Source, every_s: float, messenger: Messenger) -> str:
    """Look and tell until the node is no more.

    Returns:
        Why it is no more.
    """
    looks = follow(source, every_s=every_s, say=messenger.say)
    while True:
        look = next(looks)
        messenger.take(look.news)
        told = messenger.deliver()
        why = messenger.node.gone()
        if why is not None:
            return why
        messenger.clock.sleep(look.pause_s if told else min(look.pause_s, RETRY_EVERY_S))


def watch_node(
    address: str | None, node_id: str | None, cloud: str, metadata: Metadata, say: Say
) -> None:
    """Watch over this machine's Ray node until it ends.

    Args:
        address: The cluster's, or None for the one that this machine is in.
        node_id: In hex, or None for the only one on this machine.
        cloud: A name in ``CLOUDS``, ``auto``, or ``none``: then there is nothing to do.
        metadata: The cloud's service.
        say: Told what a person should know.

    Raises:
        InputError: There is no such node, or more than one.
        FaultError: The cluster, its node, or a cloud's service does not show up in time.
    """
    check_version()
    if cloud == "none":
        say("no cloud, no notices: nothing to watch")
        return
    client, info = wait_for_node(cluster_address(address), node_id, metadata.clock)
    name = find_cloud(metadata) if cloud == "auto" else cloud
    warning = _HEAD_WARNING if info.is_head else ""
    say(f"watching {name} for node {info.node_id}. {warning}".rstrip(". "))
    messenger = Messenger(RayNode(client, info, metadata.clock), metadata.clock, say, warning)
    why = keep_watch(CLOUDS[name].source(metadata), CLOUDS[name].every_s, messenger)
    say(f"node {info.node_id} is no more ({why}): nothing is left to watch")


def wait_for_node(
    address: str, node_id: str | None, clock: Clock, within_s: float = STARTED_WITHIN_S
) -> tuple[Any, NodeInfo]:
    """A client of the GCS, and this machine's node, which may only just be starting.

    Raises:
        InputError: There are several, or the cluster refuses this process.
        FaultError: There is none in time.
    """
    until_s = clock.now_s() + within_s
    client = None
    while True:
        try:
            client = client or connect_gcs(address)
            return client, own_node(alive_nodes(client), node_id)
        except FaultError:
            if clock.now_s() >= until_s:
                raise
        clock.sleep(RETRY_EVERY_S)


def own_node(alive: dict[str, NodeInfo], node_id: str | None) -> NodeInfo:
    """The node that was named, or else the only one whose address is this machine's.

    Raises:
        InputError: There are several.
        FaultError: There is none.
    """
    found = [
        info
        for info in alive.values()
        if (info.node_id == node_id if node_id else _is_here(info.host))
    ]
    if not found:
        name = f"node {node_id}" if node_id else "a node of this machine"
        raise FaultError(f"{name} is not in the cluster", "--node-id", "Run ray start on it")
    if len(found) > 1:
        names = ", ".join(sorted(info.node_id for info in found))
        raise InputError(f"this machine has several: {names}", "--node-id", "Name one")
    return found[0]


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine's: only then can it be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.bind((host, 0))
    except OSError:
        return False
    return True


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _LISTENS_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        # Frozen or flooded, but there.
        return True
    return True
