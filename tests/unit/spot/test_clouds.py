"""Which cloud this machine belongs to."""

from typing import Any

import pytest

from orchestrator.errors import FaultError
from orchestrator.spot.clouds import CLOUDS, find_cloud
from orchestrator.spot.metadata import Metadata
from tests.metadata.clock import FakeTime
from tests.metadata.clouds import FakeAws, FakeAzure, FakeGcp
from tests.metadata.server import Reply, Service

FAKES = {"aws": FakeAws, "gcp": FakeGcp, "azure": FakeAzure}


@pytest.mark.parametrize("name", list(CLOUDS))
def test_a_cloud_is_known_by_how_it_answers(name: str, time: FakeTime) -> None:
    with Service(FAKES[name]()) as service:
        assert find_cloud(Metadata(service.url, time.clock)) == name
    assert time.slept_s == []


def test_a_service_that_comes_up_late_is_found(time: FakeTime) -> None:
    with Service(FakeGcp(), faults={"/": Reply(status=503)}) as service:
        clock = time.clock

        def sleep(seconds: float) -> None:
            service.faults.clear()
            time.sleep(seconds)

        late = type(clock)(clock.now_s, sleep)
        assert find_cloud(Metadata(service.url, late)) == "gcp"


@pytest.mark.parametrize("reply", [Reply(), Reply(status=404), Reply(body=b"<html>")])
def test_a_service_that_is_of_no_cloud_is_given_up_in_time(
    reply: Reply, time: FakeTime
) -> None:
    with (
        Service(FakeAws(), faults={"/": reply}) as service,
        pytest.raises(FaultError, match="within 20 s"),
    ):
        find_cloud(Metadata(service.url, time.clock))
    assert sum(time.slept_s) == pytest.approx(20)


def test_no_service_at_all_is_given_up_in_time(time: FakeTime) -> None:
    service: Any = Service(FakeAws()).start()
    service.stop()
    with pytest.raises(FaultError, match="Name the cloud with --cloud"):
        find_cloud(Metadata(service.url, time.clock), within_s=3)
    assert len(time.slept_s) == 3
