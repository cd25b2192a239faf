"""A fake service of each cloud, and a watcher's view of it, on one fake clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.spot.aws import AwsSource
from orchestrator.spot.azure import AzureSource
from orchestrator.spot.gcp import GcpSource
from orchestrator.spot.metadata import Metadata
from orchestrator.spot.notice import Notice
from orchestrator.spot.watch import Look, follow
from tests.metadata.clock import FakeTime
from tests.metadata.clouds import FakeAws, FakeAzure, FakeGcp
from tests.metadata.server import Service

CLOUDS = {
    "aws": (FakeAws, AwsSource, 5.0),
    "gcp": (FakeGcp, GcpSource, 1.0),
    "azure": (FakeAzure, AzureSource, 1.0),
}


@dataclass
class Watched:
    """One machine of one cloud, and what its watcher makes of it."""

    service: Service
    source: Any
    every_s: float
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._looks = follow(self.source, every_s=self.every_s, say=self.said.append)

    @property
    def cloud(self) -> Any:
        return self.service.cloud

    def look(self) -> Look:
        return next(self._looks)

    def news(self) -> tuple[Notice, ...]:
        return self.look().news


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def make_watched(time: FakeTime) -> Iterator[Callable[[str], Watched]]:
    """Starts a service of a cloud that keeps the watcher's time, and a watcher on it."""
    services = []

    def make(name: str) -> Watched:
        fake, source, every_s = CLOUDS[name]
        service = Service(fake(), now_s=lambda: time.now_s).start()
        services.append(service)
        metadata = Metadata(service.url, time.clock, timeout_s=1.0)
        return Watched(service, source(metadata), every_s)

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def aws(make_watched: Callable[[str], Watched]) -> Watched:
    return make_watched("aws")


@pytest.fixture
def gcp(make_watched: Callable[[str], Watched]) -> Watched:
    return make_watched("gcp")


@pytest.fixture
def azure(make_watched: Callable[[str], Watched]) -> Watched:
    return make_watched("azure")


@pytest.fixture(params=list(CLOUDS))
def any_cloud(
    request: pytest.FixtureRequest, make_watched: Callable[[str], Watched]
) -> Watched:
    return make_watched(request.param)
