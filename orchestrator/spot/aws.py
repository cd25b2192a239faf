"""Amazon EC2: two minutes' notice, and earlier advice.

Source: EC2 user guide, "Spot Instance interruption notices" and "Use IMDSv2".
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.spot.metadata import Answer, Metadata, NoAnswerError
from orchestrator.spot.notice import Notice

EVERY_S = 5.0
TOKEN_PATH = "/latest/api/token"
INTERRUPTION_PATH = "/latest/meta-data/spot/instance-action"
REBALANCE_PATH = "/latest/meta-data/events/recommendations/rebalance"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"

# The longest that EC2 grants.
_TTL_S = 21_600
_RENEWED_BEFORE_S = 30.0
# A page that a portal shows to everyone is none.
_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]+")


@dataclass(frozen=True, slots=True)
class Token:
    """Leave to ask, for a while."""

    text: str
    until_s: float


@dataclass(slots=True)
class AwsSource:
    """Asks EC2 for an interruption and for a recommendation to rebalance.

    Alive in it is the token, which is fetched anew before it expires, and when it is refused.
    """

    metadata: Metadata
    _token: Token | None = field(default=None, init=False)

    def look(self) -> tuple[Notice, ...]:
        """All that is announced now.

        Raises:
            NoAnswerError: Nothing is known.
        """
        interruption = _interruption(self._ask(INTERRUPTION_PATH))
        try:
            rebalance = _rebalance(self._ask(REBALANCE_PATH))
        except NoAnswerError:
            # Advice that cannot be read must not hide an order that could.
            if interruption is None:
                raise
            rebalance = None
        return tuple(notice for notice in (interruption, rebalance) if notice is not None)

    def _ask(self, path: str) -> Answer:
        answer = self.metadata.ask(path, {TOKEN_HEADER: self._current_token()})
        if answer.status == 401:
            self._token = None
            answer = self.metadata.ask(path, {TOKEN_HEADER: self._current_token()})
        if answer.status not in (200, 404):
            raise NoAnswerError(f"it refuses with status {answer.status}")
        return answer

    def _current_token(self) -> str:
        now_s = self.metadata.clock.now_s()
        if self._token is None or now_s >= self._token.until_s - _RENEWED_BEFORE_S:
            self._token = fetch_token(self.metadata)
        return self._token.text


def fetch_token(metadata: Metadata) -> Token:
    """A new token.

    Raises:
        NoAnswerError: None is given; so on any machine that is not of EC2.
    """
    now_s = metadata.clock.now_s()
    answer = metadata.ask(TOKEN_PATH, {TTL_HEADER: str(_TTL_S)}, method="PUT")
    text = answer.body.decode("ascii", "replace").strip()
    if answer.status != 200 or not _TOKEN.fullmatch(text):
        raise NoAnswerError(f"it gives no token (status {answer.status})")
    granted = answer.headers.get(TTL_HEADER, "")
    return Token(text, now_s + (int(granted) if granted.isdecimal() else _TTL_S))


def is_aws(metadata: Metadata) -> bool:
    """Whether this is a machine of EC2; where nobody answers, it is not."""
    try:
        fetch_token(metadata)
    except NoAnswerError:
        return False
    return True


def _interruption(answer: Answer) -> Notice | None:
    if answer.status == 404:
        return None
    said = answer.fields()
    action, time = str(said.get("action")), said.get("time")
    return Notice(
        kind="interruption",
        id=f"{action} {time}",
        action=action,
        # Hibernation begins with its notice, so that this may be now.
        deadline_s=_seconds(time) + answer.clock_ahead_s,
        clock_ahead_s=answer.clock_ahead_s,
    )


def _rebalance(answer: Answer) -> Notice | None:
    if answer.status == 404:
        return None
    time = answer.fields().get("noticeTime")
    return Notice(kind="rebalance", id=f"rebalance {time}", action="rebalance")


def _seconds(time: object) -> float:
    """Seconds since 1970 of a time like 2020-04-24T17:11:44Z.

    Raises:
        NoAnswerError: It is none.
    """
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError:
        raise NoAnswerError(f"{str(time)[:40]!r} is no time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
