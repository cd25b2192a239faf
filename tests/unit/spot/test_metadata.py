"""Asking a metadata service, and nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.spot.metadata import Metadata, NoAnswerError, clock_ahead_s
from tests.metadata.clouds import FakeGcp
from tests.metadata.server import Reply, Service

DATE = "Mon, 19 Sep 2016 18:28:47 GMT"
DATE_S = 1_474_309_727.0


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(FakeGcp()) as one:
        yield one


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://metadata.google.internal",
        "http://8.8.8.8:80",
        "https://169.254.169.254",
        "http://169.254.169.254/latest",
        "http://169.254.169.254:many",
        "http://[::1",
        "169.254.169.254",
        "",
    ],
)
def test_a_service_that_is_not_a_link_away_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no metadata service"):
        Metadata(url)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://127.0.0.1:1338", "http://[fd00:ec2::254]"]
)
def test_a_service_that_is_a_link_away_is_accepted(url: str) -> None:
    assert Metadata(url).url == url


def test_a_redirect_is_not_followed(service: Service) -> None:
    with Service(FakeGcp()) as elsewhere:
        service.faults["/"] = Reply(status=302, headers={"Location": elsewhere.url})
        assert Metadata(service.url).ask("/", {}).status == 302
        assert elsewhere.asked == []


def test_a_proxy_is_not_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(FakeGcp()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        Metadata(service.url).ask("/", {})
        assert proxy.asked == []
        assert service.asked == ["GET /"]


def test_an_answer_without_end_is_not_taken_in(service: Service) -> None:
    service.faults["/"] = Reply(body=b" " * 100_000)
    with pytest.raises(NoAnswerError, match="more than 65536 bytes"):
        Metadata(service.url).ask("/", {})


def test_a_reply_is_not_waited_for_without_end(service: Service) -> None:
    service.faults["/"] = Reply(delay_s=0.5)
    with pytest.raises(NoAnswerError, match=r"does not answer within 0\.05 s"):
        Metadata(service.url, timeout_s=0.05).ask("/", {})


@pytest.mark.parametrize(
    ("date", "asked_s", "answered_s", "ahead_s"),
    [
        (DATE, DATE_S, DATE_S, 0),
        (DATE, DATE_S + 1.9, DATE_S + 1.9, 0),
        (DATE, DATE_S - 120, DATE_S + 1, 0),
        (DATE, DATE_S + 3600, DATE_S + 3600.5, 3600.5),
        (DATE, DATE_S - 3600.5, DATE_S - 3600, -3600),
        ("", DATE_S, DATE_S, 0),
        ("yesterday", DATE_S, DATE_S, 0),
    ],
)
def test_a_date_tells_how_far_the_clocks_are_apart(
    date: str, asked_s: float, answered_s: float, ahead_s: float
) -> None:
    assert clock_ahead_s(date, asked_s, answered_s) == ahead_s


def test_over_ipv6_a_service_is_asked_at_its_own_address() -> None:
    # Nobody listens on port 9; what counts is that the address is understood.
    answer: Any = None
    with pytest.raises(NoAnswerError, match="refuses the connection"):
        answer = Metadata("http://[::1]:9").ask("/", {})
    assert answer is None
