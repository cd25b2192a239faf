"""The clouds there are, and which of them this machine belongs to."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.errors import FaultError
from orchestrator.spot.aws import EVERY_S as AWS_EVERY_S
from orchestrator.spot.aws import AwsSource, is_aws
from orchestrator.spot.azure import EVERY_S as AZURE_EVERY_S
from orchestrator.spot.azure import AzureSource, is_azure
from orchestrator.spot.gcp import EVERY_S as GCP_EVERY_S
from orchestrator.spot.gcp import GcpSource, is_gcp
from orchestrator.spot.metadata import Metadata
from orchestrator.spot.watch import Source

FOUND_WITHIN_S = 20.0
"""A service may come up after the machine; no service at all costs 2 s a cloud and round."""
_ROUND_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """How one cloud is known, asked, and how often."""

    is_here: Callable[[Metadata], bool]
    source: Callable[[Metadata], Source]
    every_s: float


CLOUDS = {
    "aws": Cloud(is_aws, AwsSource, AWS_EVERY_S),
    "gcp": Cloud(is_gcp, GcpSource, GCP_EVERY_S),
    "azure": Cloud(is_azure, AzureSource, AZURE_EVERY_S),
}


def find_cloud(metadata: Metadata, within_s: float = FOUND_WITHIN_S) -> str:
    """Which of ``CLOUDS`` answers.

    Args:
        metadata: The service, of whichever cloud.
        within_s: When to give up; a round that has begun is ended.

    Raises:
        FaultError: None does.
    """
    clock = metadata.clock
    until_s = clock.now_s() + within_s
    while True:
        for name, cloud in CLOUDS.items():
            if cloud.is_here(metadata):
                return name
        if clock.now_s() >= until_s:
            raise FaultError(
                f"no metadata service that is known answered within {within_s:g} s",
                metadata.url,
                f"Name the cloud with --cloud {'|'.join(CLOUDS)}, or none where there is none",
            )
        clock.sleep(_ROUND_EVERY_S)
