"""Azure's scheduled events."""

from typing import Any

import pytest

from orchestrator.spot.azure import AzureSource
from orchestrator.spot.metadata import Metadata, NoAnswerError
from tests.metadata.clock import START_S, FakeTime
from tests.metadata.clouds import FakeAzure, azure_event
from tests.metadata.server import Service


@pytest.mark.parametrize("kind", ["Preempt", "Terminate", "Reboot", "Redeploy"])
def test_an_event_that_ends_the_machine_is_told_once(azure: Any, kind: str) -> None:
    assert azure.look().news == ()
    assert azure.look().pause_s == 1.0
    azure.cloud.events = [azure_event(EventType=kind)]
    (notice,) = azure.news()
    assert (notice.kind, notice.id, notice.action) == ("interruption", "C7061BAC", kind)
    assert notice.deadline_s == START_S + 60
    assert azure.news() == ()


def test_an_event_that_has_begun_has_no_deadline(azure: Any) -> None:
    azure.cloud.events = [azure_event(EventStatus="Started", NotBefore="")]
    (notice,) = azure.news()
    assert notice.deadline_s is None


def test_an_event_that_begins_after_it_was_announced_is_the_same_event(azure: Any) -> None:
    azure.cloud.events = [azure_event()]
    azure.news()
    azure.cloud.events = [azure_event(EventStatus="Started", NotBefore="")]
    assert azure.news() == ()


@pytest.mark.parametrize(
    "event",
    [
        azure_event(Resources=["trainer_8", "trainer_70"]),
        azure_event(Resources=[]),
        azure_event(EventType="Freeze"),
        azure_event(EventStatus="Completed"),
        azure_event(EventStatus="Canceled"),
        azure_event(Resources=["trainer_8"], NotBefore="soon"),
    ],
)
def test_an_event_of_a_peer_or_of_no_consequence_is_passed_over(
    azure: Any, event: dict[str, Any]
) -> None:
    azure.cloud.events = [event]
    assert azure.look().news == ()
    assert azure.said == []


def test_an_event_of_several_machines_is_told_to_each_in_whatever_case(azure: Any) -> None:
    azure.cloud.events = [azure_event(Resources=["trainer_6", "TRAINER_7"])]
    assert len(azure.news()) == 1


def test_an_event_that_vanishes_is_cancelled_once(azure: Any) -> None:
    azure.cloud.events = [azure_event(), azure_event(EventId="peer", Resources=["trainer_8"])]
    azure.news()
    del azure.cloud.events[0]
    (notice,) = azure.news()
    assert (notice.kind, notice.id) == ("cancelled", "C7061BAC")
    assert azure.news() == ()


def test_the_same_event_listed_twice_is_one(azure: Any) -> None:
    azure.cloud.events = [azure_event(), azure_event()]
    assert len(azure.news()) == 1


@pytest.mark.parametrize(
    "events",
    [
        [azure_event(NotBefore="soon")],
        [azure_event(NotBefore=17)],
        [azure_event(EventId=None)],
        [azure_event(Resources="trainer_7")],
        ["Preempt"],
        {"EventType": "Preempt"},
        None,
        b"<html>",
    ],
)
def test_what_cannot_be_read_is_trouble_until_it_can(azure: Any, events: Any) -> None:
    azure.cloud.events = events
    assert azure.look().news == azure.look().news == ()
    assert len(azure.said) == 1
    azure.cloud.events = [azure_event()]
    assert len(azure.news()) == 1


def test_a_clock_that_is_off_the_clouds_is_allowed_for(azure: Any, time: FakeTime) -> None:
    azure.service.now_s = lambda: time.now_s + 600
    azure.cloud.events = [azure_event()]
    (notice,) = azure.news()
    assert notice.deadline_s == START_S + 60 - 600


def test_the_first_question_may_take_long_and_no_other() -> None:
    with Service(FakeAzure(first_delay_s=0.3)) as service:
        source = AzureSource(Metadata(service.url, timeout_s=0.15), first_timeout_s=2.0)
        assert source.look() == ()
        service.cloud.first_delay_s = 0.3
        with pytest.raises(NoAnswerError, match=r"does not answer within 0\.15 s"):
            source.look()


def test_a_first_question_that_took_too_long_may_do_so_again() -> None:
    with Service(FakeAzure(first_delay_s=0.3)) as service:
        source = AzureSource(Metadata(service.url, timeout_s=0.1), first_timeout_s=0.2)
        with pytest.raises(NoAnswerError, match=r"within 0\.2 s"):
            source.look()
        service.cloud.first_delay_s = 0.15
        assert source.look() == ()
