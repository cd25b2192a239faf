"""What a cluster is: one description, from which the files of all clouds are rendered.

It says what machines are for and how many there may be; how a cloud is asked for them, and how
they are kept shut, is the renderings' business.
"""

import re
from datetime import date
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from orchestrator.config.section import Section

Text = Annotated[str, Field(min_length=1)]
# It becomes part of names in all clouds, and Azure and Kubernetes are the strictest.
ClusterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,28}[a-z0-9]$")]
NodeRange = Annotated[tuple[NonNegativeInt, PositiveInt], Field(examples=[[0, 8]])]

RESERVED_CPUS = 1
"""Cores of the head that Ray is not told of: they are for its own processes, which would
otherwise miss their heartbeats."""


class Machine(Section):
    """One type of machine, and what it costs."""

    type: Text
    """The cloud's name for it; in Kubernetes a name of your own."""

    cpus: PositiveInt
    """Its cores, as the cloud counts them."""

    memory_gib: PositiveFloat | None = None
    """Its memory; Kubernetes asks for that much."""

    gpus: NonNegativeInt = 0
    """Its GPUs."""

    on_demand: PositiveFloat | None = None
    """Price of an hour; null where nobody wrote it down."""

    spot: PositiveFloat | None = None
    """Price of an hour as a spot machine, which changes daily."""


class Prices(Section):
    """When prices were written down, and in what."""

    as_of: date
    """The day on which somebody looked."""

    currency: Text = "USD"
    """What they are in."""

    source: Text
    """Where they were looked up, and how that is done again."""


class Fleet(Section):
    """Which machines a cloud has for each purpose."""

    head: Machine
    """On demand: what must not die with a spot machine lives here. It never trains."""

    gpu_model: Text
    """Ray's name for the GPU of all machines that train, such as L4 or A10G: sums are exact
    within one model only."""

    gpu: Annotated[tuple[Machine, ...], Field(min_length=1)]
    """Types that train, the cheapest first: each has spot pools of its own. All have the same
    GPU and the same model of CPU. The first is the on-demand fallback as well."""

    data: Annotated[tuple[Machine, ...], Field(min_length=1)]
    """Types that render images, the cheapest first."""

    prices: Prices | None = None
    """When the prices above were written down; null where there are none."""

    @model_validator(mode="after")
    def _only_gpu_machines_have_gpus(self) -> Self:
        for machine in (self.head, *self.data):
            if machine.gpus:
                raise ValueError(f"{machine.type} does not train: its GPUs would be paid for")
        for machine in self.gpu:
            if not machine.gpus:
                raise ValueError(f"gpu: {machine.type} has no GPU")
        if len({machine.gpus for machine in self.gpu}) > 1:
            raise ValueError("gpu: all types need the same number of GPUs")
        return self


class AwsCloud(Section):
    """Amazon Web Services."""

    region: Text
    """Such as us-east-1; the bucket should be there too."""

    zones: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Several: each has spot pools of its own, and they seldom run dry together."""

    image: Text
    """The machine image: an ``ami-`` id, or ``resolve:ssm:`` and the name of a parameter that
    holds one. It needs Docker and a driver for the GPU: torch 2.13 wants 580 or newer."""

    security_group: Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")]
    """Made beforehand (docs/launch.md). The one that Ray would make lets the world in at 22."""

    fleet: Fleet
    """Machines."""


class GcpCloud(Section):
    """Google Cloud."""

    project: Text
    """The project's id."""

    region: Text
    """Such as us-central1."""

    zone: Text
    """One: Ray's launcher for Google Cloud knows no more."""

    image: Text
    """The boot disk's image. It needs Docker and a driver for the GPU."""

    subnetwork: Text
    """Name of a subnetwork whose firewall lets in SSH from IAP and nothing else."""

    fleet: Fleet
    """Machines."""


class AzureCloud(Section):
    """Microsoft Azure."""

    subscription: Text
    """The subscription's id."""

    location: Text
    """Such as eastus."""

    zones: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Numbers of zones."""

    resource_group: Text
    """Made by Ray; deleting it deletes everything."""

    image: Annotated[tuple[Text, Text, Text, Text], Field(examples=[["a", "b", "c", "latest"]])]
    """Publisher, offer, sku and version. It needs Docker and a driver for the GPU."""

    fleet: Fleet
    """Machines."""


class KubernetesCloud(Section):
    """Any Kubernetes with the KubeRay operator."""

    namespace: Text = "default"
    """Where everything goes."""

    image: Text
    """An image that holds this project, made from ``cloud/Dockerfile``."""

    storage: Annotated[str, Field(pattern=r"^(s3|gs)://.+[^/]$")]
    """Where runs and MLflow's artifacts go."""

    spot: dict[str, str]
    """Labels of spot nodes."""

    on_demand: dict[str, str]
    """Labels of nodes that stay."""

    gpu: dict[str, str]
    """Labels of nodes with the GPU."""

    service_account: Text = "orchestrator"
    """Whose cloud identity may use the bucket."""

    fleet: Fleet
    """Machines: what is asked of a node, which should be all that it has to give."""


class Description(Section):
    """A cluster for training on machines that come and go."""

    name: ClusterName
    """Names the cluster and its machines."""

    image: Annotated[str, Field(pattern=r":[0-9]+\.[0-9]+\.[0-9]+")]
    """The container that settles Python, CUDA and Ray on machines of a cloud; its tag begins
    with Ray's version."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Where runs and MLflow's artifacts go. The only thing that roles may write to."""

    gpu_spot: NodeRange = (0, 8)
    """The least and the most spot machines that train, of each type."""

    gpu_on_demand: NodeRange = (0, 8)
    """The least and the most on-demand ones, taken where no spot machine is to be had."""

    data_spot: NodeRange = (0, 4)
    """The least and the most spot machines that render, of each type."""

    most_nodes: PositiveInt = 12
    """Machines of all kinds beside the head: what the bill cannot exceed."""

    idle_minutes: PositiveFloat = 10
    """After so long without work a machine is given back."""

    disk_gb: PositiveInt = 150
    """Each machine's disk, encrypted: the container, the base model, Ray's spilled objects."""

    tags: dict[str, str] = Field(default={}, examples=[{"project": "groups"}])
    """On everything that costs money, beside the cluster's name."""

    aws: AwsCloud | None = None
    """Amazon Web Services."""

    gcp: GcpCloud | None = None
    """Google Cloud."""

    azure: AzureCloud | None = None
    """Microsoft Azure."""

    kubernetes: KubernetesCloud | None = None
    """Kubernetes."""

    @model_validator(mode="after")
    def _ranges_go_up(self) -> Self:
        least = 0
        for name in ("gpu_spot", "gpu_on_demand", "data_spot"):
            low, high = getattr(self, name)
            least += low
            if low > high:
                raise ValueError(f"{name}: the least ({low}) is above the most ({high})")
        if least > self.most_nodes:
            raise ValueError(
                f"most_nodes: {self.most_nodes}, but at least {least} are asked for"
            )
        return self

    @property
    def ray_version(self) -> str:
        """As the image's tag has it."""
        return re.split("[:-]", self.image.rpartition("/")[2])[1]

    @property
    def all_tags(self) -> dict[str, str]:
        """What everything that costs money carries."""
        return {"cluster": self.name, **self.tags}
