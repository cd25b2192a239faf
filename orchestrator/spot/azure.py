"""Azure: scheduled events, of this machine and of its neighbours.

Source: Azure documentation, "Scheduled Events for Linux VMs", api-version 2020-07-01.
"""

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from orchestrator.spot.metadata import Answer, Metadata, NoAnswerError
from orchestrator.spot.notice import Notice

EVERY_S = 1.0
FIRST_TIMEOUT_S = 130.0
"""The first question switches the service on for this machine: up to two minutes."""
EVENTS_PATH = "/metadata/scheduledevents?api-version=2020-07-01"
MACHINE_PATH = "/metadata/instance/compute?api-version=2021-02-01"
HEADERS = {"Metadata": "true"}

# After these nothing runs on as before. A Freeze, the fifth kind, is over in seconds.
_ENDING = {"Preempt", "Terminate", "Reboot", "Redeploy"}
_OVER = {"Completed", "Canceled"}


@dataclass(slots=True)
class AzureSource:
    """Asks Azure what is scheduled for this machine.

    Alive in it are the machine's name, and whether the service has been switched on.
    """

    metadata: Metadata
    first_timeout_s: float = FIRST_TIMEOUT_S
    _name: str | None = field(default=None, init=False)
    _is_on: bool = field(default=False, init=False)

    def look(self) -> tuple[Notice, ...]:
        """All that is announced now for this machine; what is for others is left out.

        Raises:
            NoAnswerError: Nothing is known.
        """
        if self._name is None:
            self._name = machine_name(self.metadata)
        timeout_s = None if self._is_on else self.first_timeout_s
        answer = self.metadata.ask(EVENTS_PATH, HEADERS, timeout_s=timeout_s)
        if answer.status != 200:
            raise NoAnswerError(f"it refuses with status {answer.status}")
        events = answer.fields().get("Events")
        if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
            raise NoAnswerError("its list of events is none")
        self._is_on = True
        mine = [event for event in events if _concerns(event, self._name)]
        return tuple(_notice(event, answer) for event in mine)


def machine_name(metadata: Metadata) -> str:
    """This machine, as events name it.

    Raises:
        NoAnswerError: Nobody says; so on any machine that is not of Azure.
    """
    answer = metadata.ask(MACHINE_PATH, HEADERS)
    name = answer.fields().get("name") if answer.status == 200 else None
    if not isinstance(name, str) or not name:
        raise NoAnswerError(f"it does not name this machine (status {answer.status})")
    return name


def is_azure(metadata: Metadata) -> bool:
    """Whether this is a machine of Azure; where nobody answers, it is not."""
    try:
        machine_name(metadata)
    except NoAnswerError:
        return False
    return True


def _concerns(event: dict[str, Any], name: str) -> bool:
    if event.get("EventType") not in _ENDING or event.get("EventStatus") in _OVER:
        return False
    resources = event.get("Resources")
    if not isinstance(resources, list):
        raise NoAnswerError("an event names no machines")
    # Names in Azure are the same in any case.
    return name.casefold() in {str(one).casefold() for one in resources}


def _notice(event: dict[str, Any], answer: Answer) -> Notice:
    event_id = event.get("EventId")
    if not isinstance(event_id, str) or not event_id:
        raise NoAnswerError("an event has no EventId")
    begins_s = _seconds(event.get("NotBefore"))
    return Notice(
        kind="interruption",
        id=event_id,
        action=str(event["EventType"]),
        deadline_s=None if begins_s is None else begins_s + answer.clock_ahead_s,
        clock_ahead_s=answer.clock_ahead_s,
    )


def _seconds(time: object) -> float | None:
    """Seconds since 1970 of a time like Mon, 19 Sep 2016 18:29:47 GMT; None where it has begun.

    Raises:
        NoAnswerError: It is none.
    """
    if time in ("", None):
        return None
    try:
        return parsedate_to_datetime(str(time)).timestamp()
    except (ValueError, OverflowError):
        raise NoAnswerError(f"{str(time)[:40]!r} is no time") from None
