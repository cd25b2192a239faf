"""A newcomer's state over real HTTP, on loopback."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta

import pytest

from orchestrator.cluster.transport import StateTransport
from orchestrator.errors import FaultError

TOKEN = "t0ken"
WAIT_S = 0.3
SOON = timedelta(seconds=20)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STATE = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def neighbour() -> Iterator[StateTransport]:
    transport = StateTransport("127.0.0.1", TOKEN, wait_s=WAIT_S)
    yield transport
    transport.shutdown()


@pytest.fixture(scope="module")
def newcomer() -> Iterator[StateTransport]:
    transport = StateTransport("127.0.0.1", TOKEN, wait_s=WAIT_S)
    yield transport
    transport.shutdown()


def offer(transport: StateTransport, step: int, state: bytes = STATE) -> None:
    content = {"user": {"default": state}, "torchft": {"step": step}}
    transport.send_checkpoint([1], step, content, SOON)


def refusal(url: str, authorization: str | None) -> int:
    """The status of an answer that is an error."""
    headers = {"Authorization": authorization} if authorization is not None else {}
    with pytest.raises(urllib.error.HTTPError) as caught:
        DIRECT.open(urllib.request.Request(url, headers=headers), timeout=20)
    with caught.value as answer:
        assert STATE[:64] not in answer.read()
        return answer.code


def test_a_newcomer_gets_the_bytes_and_the_step(
    neighbour: StateTransport, newcomer: StateTransport
) -> None:
    offer(neighbour, 7)
    received = newcomer.recv_checkpoint(0, neighbour.metadata(), 7, SOON)
    assert received == {
        "user": {"default": STATE},
        "torchft": {"step": 7, "batches_committed": 0},
    }


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer ", "Bearer t0ke", TOKEN, "Bearer é"]
)
def test_whoever_lacks_the_token_gets_nothing(
    neighbour: StateTransport, authorization: str | None
) -> None:
    offer(neighbour, 7)
    assert refusal(f"{neighbour.metadata()}7", authorization) == 401


def test_the_state_of_another_step_is_waited_for_and_then_not_there(
    neighbour: StateTransport,
) -> None:
    offer(neighbour, 7)
    began_s = time.monotonic()
    assert refusal(f"{neighbour.metadata()}8", f"Bearer {TOKEN}") == 404
    assert time.monotonic() - began_s >= WAIT_S


def test_a_newcomer_may_ask_before_the_state_is_there() -> None:
    patient = StateTransport("127.0.0.1", TOKEN, wait_s=20.0)
    offer(patient, 7)
    later = threading.Timer(0.1, offer, (patient, 8, b"eight"))
    later.start()
    received = patient.recv_checkpoint(0, patient.metadata(), 8, SOON)
    assert received["user"] == {"default": b"eight"}
    later.join()
    patient.shutdown()


def test_who_waits_for_a_state_hears_at_once_that_its_round_was_given_up() -> None:
    patient = StateTransport("127.0.0.1", TOKEN, wait_s=20.0)
    patient.allow()
    later = threading.Timer(0.1, patient.disallow_checkpoint)
    began_s = time.monotonic()
    later.start()
    assert refusal(f"{patient.metadata()}8", f"Bearer {TOKEN}") == 404
    assert refusal(f"{patient.metadata()}8", f"Bearer {TOKEN}") == 404
    assert time.monotonic() - began_s < 10
    later.join()
    patient.shutdown()


def test_a_state_is_served_only_as_long_as_it_is_the_round(neighbour: StateTransport) -> None:
    offer(neighbour, 7)
    neighbour.disallow_checkpoint()
    assert refusal(f"{neighbour.metadata()}7", f"Bearer {TOKEN}") == 404


@pytest.mark.parametrize("path", ["", "x", "-1", "../7"])
def test_there_is_nothing_else_to_fetch(neighbour: StateTransport, path: str) -> None:
    offer(neighbour, 7)
    assert refusal(f"{neighbour.metadata()}{path}", f"Bearer {TOKEN}") == 404


def test_a_proxy_for_the_rest_of_the_world_is_not_asked(
    neighbour: StateTransport, newcomer: StateTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    offer(neighbour, 7)
    received = newcomer.recv_checkpoint(0, neighbour.metadata(), 7, SOON)
    assert received["user"] == {"default": STATE}


def test_a_neighbour_that_speaks_otherwise_is_named(newcomer: StateTransport) -> None:
    with pytest.raises(FaultError, match="file:///state"):
        newcomer.recv_checkpoint(0, "file:///state", 7, SOON)
