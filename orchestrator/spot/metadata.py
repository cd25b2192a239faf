"""Asking the metadata service that a cloud offers to each of its machines.

Without proxies, redirects or names: whoever could lead a request elsewhere could order a drain.
"""

import json
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPConnectionPool, HTTPHeaderDict, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from orchestrator.errors import InputError
from orchestrator.spot.clock import Clock

METADATA_URL = "http://169.254.169.254"
TIMEOUT_S = 2.0

# Source: the IPv6 address of EC2's metadata service; unique-local, and not link-local.
_EC2_IPV6 = ip_address("fd00:ec2::254")
_MOST_BYTES = 64 << 10
# A Date has whole seconds, and a clock kept by NTP is off by less than one.
_SKEW_IGNORED_S = 2.0


class NoAnswerError(Exception):
    """The service gives no answer that can be used: ask later.

    Its text is the same for the same trouble, so that it can be said once.
    """


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says, be it yes or no."""

    status: int
    body: bytes
    headers: HTTPHeaderDict

    clock_ahead_s: float
    """How far this machine's clock is ahead of the service's; 0 where they agree to 2 s."""

    def fields(self) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            NoAnswerError: It is none.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NoAnswerError("it does not answer with a JSON object")
        return found


@dataclass(frozen=True, slots=True)
class Metadata:
    """A metadata service, on this machine or a link away."""

    url: str = METADATA_URL
    clock: Clock = field(default_factory=Clock)
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if _near(self.url) is None:
            raise InputError(
                f"{self.url!r} is no metadata service",
                "--metadata-url",
                f"Give http:// and a link-local or loopback address, as {METADATA_URL}",
            )

    def ask(
        self,
        path: str,
        headers: dict[str, str],
        *,
        method: str = "GET",
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask once.

        Args:
            path: From the root on, with its query.
            headers: By which the service knows that nobody was tricked into asking.
            method: Of HTTP.
            timeout_s: How long the reply may take, where that differs; a connection that is
                not made within the usual time will not be made.

        Raises:
            NoAnswerError: No connection, no reply in time, or the service has a fault.
        """
        place = _near(self.url)
        assert place is not None
        allowed_s = timeout_s or self.timeout_s
        asked_s = self.clock.now_s()
        # A new connection each time: one that idled for seconds may be half closed.
        with HTTPConnectionPool(*place) as pool:
            try:
                reply = pool.request(
                    method,
                    path,
                    headers={"Connection": "close", **headers},
                    redirect=False,
                    retries=False,
                    timeout=Timeout(connect=self.timeout_s, read=allowed_s),
                    preload_content=False,
                )
                body = reply.read(_MOST_BYTES + 1)
            except HTTPError as error:
                raise NoAnswerError(_trouble(error, allowed_s)) from error
        if reply.status >= 500:
            raise NoAnswerError(f"it answers with status {reply.status}")
        if len(body) > _MOST_BYTES:
            raise NoAnswerError(f"it answers with more than {_MOST_BYTES} bytes")
        ahead_s = clock_ahead_s(reply.headers.get("Date", ""), asked_s, self.clock.now_s())
        return Answer(reply.status, body, reply.headers, ahead_s)


def clock_ahead_s(date: str, asked_s: float, answered_s: float) -> float:
    """How far this machine's clock is ahead of one that wrote ``date`` between two times.

    Args:
        date: As HTTP writes it, in whole seconds; anything else says nothing.
        asked_s: When the request was sent, by this machine's clock.
        answered_s: When the answer was there.

    Returns:
        Seconds, negative for a clock that is behind; 0 where the two may agree.
    """
    try:
        written_s = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    if asked_s - _SKEW_IGNORED_S <= written_s <= answered_s + _SKEW_IGNORED_S:
        return 0.0
    return answered_s - written_s


def _trouble(error: HTTPError, timeout_s: float) -> str:
    # A subclass of ConnectTimeoutError, in urllib3 2.
    if isinstance(error, NewConnectionError):
        return "it refuses the connection, or there is no way to it"
    if isinstance(error, ConnectTimeoutError):
        return "it cannot be reached"
    if isinstance(error, ReadTimeoutError):
        return f"it does not answer within {timeout_s:g} s"
    return f"it breaks off ({type(error).__name__})"


def _near(url: str) -> tuple[str, int] | None:
    """Host and port of a service on this machine or a link away; None where it is elsewhere."""
    try:
        parts = urlsplit(url)
        host, port = ip_address(parts.hostname or ""), parts.port or 80
    except ValueError:
        return None
    near = host.is_link_local or host.is_loopback or host == _EC2_IPV6
    return (str(host), port) if near and (parts.scheme, parts.path) == ("http", "") else None
