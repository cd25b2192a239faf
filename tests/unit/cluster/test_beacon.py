"""Another lighthouse at the same port, as whoever holds a connection to it sees it."""

import socket
from collections.abc import Callable, Iterator

import pytest

from orchestrator.cluster.beacon import Beacon

HOST = "127.0.0.1"


class Lighthouse:
    """Something that listens, and whose death the system makes known."""

    def __init__(self, port: int = 0) -> None:
        self._listening = socket.create_server((HOST, port))
        self.port = int(self._listening.getsockname()[1])
        self._accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _ = self._listening.accept()
        self._accepted.append(connection)
        return connection

    def die(self) -> None:
        for each in [self._listening, *self._accepted]:
            each.close()


Watch = Callable[[int], Beacon]


@pytest.fixture
def watch() -> Iterator[Watch]:
    made: list[Beacon] = []

    def begin(port: int) -> Beacon:
        made.append(Beacon(HOST, port))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_one_that_lives_is_the_same_whatever_it_says(watch: Watch) -> None:
    lighthouse = Lighthouse()
    beacon = watch(lighthouse.port)
    connection = lighthouse.accept()
    assert not beacon.is_another()
    connection.sendall(b"good evening" * 1000)
    assert not beacon.is_another()
    lighthouse.die()


def test_another_that_listens_already_is_told_once(watch: Watch) -> None:
    first = Lighthouse()
    beacon = watch(first.port)
    first.accept()
    for _ in range(3):
        first.die()
        first = Lighthouse(first.port)
        assert beacon.is_another()
        first.accept()
        assert not beacon.is_another()
    first.die()


def test_as_long_as_none_listens_it_is_the_old_ones_last_word(watch: Watch) -> None:
    first = Lighthouse()
    beacon = watch(first.port)
    first.accept()
    first.die()
    assert not beacon.is_another()
    assert not beacon.is_another()
    second = Lighthouse(first.port)
    assert beacon.is_another()
    second.accept()
    assert not beacon.is_another()
    second.die()


def test_one_that_comes_late_is_another_than_none(watch: Watch) -> None:
    lighthouse = Lighthouse()
    lighthouse.die()
    beacon = watch(lighthouse.port)
    assert not beacon.is_another()
    late = Lighthouse(lighthouse.port)
    assert beacon.is_another()
    assert not beacon.is_another()
    late.die()
