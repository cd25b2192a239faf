"""Ray's own launcher for AWS, with the project's file, against moto."""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from ray.autoscaler._private.aws import utils as ray_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.event_summarizer import EventSummarizer
from ray.autoscaler._private.node_launcher import BaseNodeLauncher
from ray.autoscaler._private.node_provider_availability_tracker import (
    NodeProviderAvailabilityTracker,
)
from ray.autoscaler._private.resource_demand_scheduler import ResourceDemandScheduler
from ray.autoscaler._private.util import (
    ConcurrentCounter,
    prepare_config,
    validate_config,
)

from orchestrator.launch.commands import SCORER
from tests.launch.aws_world import (
    REGION,
    World,
    actions_alone,
    make_groundwork,
    roads_without_spot,
    tags,
)
from tests.stores.s3_server import credentials, s3_server

SPOT, STAYS, DATA = "gpu_spot_g6_2xlarge", "gpu_on_demand_g6_2xlarge", "data_spot_c6a_2xlarge"
WORKER = {"GPU": 1, "CPU": 4, "accelerator_type:L4": 0.001}
"""What a cell of the job in jobs/qwen2_5_vl_7b_spot.yaml asks for."""
Launch = Callable[[str], None]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        # Ray writes the key pair that it makes below the home folder.
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        with s3_server(tmp_path_factory.mktemp("aws")) as server:
            for name, value in credentials(server.url).items():
                patch.setenv(name, value)
            _forget_clients()
            yield make_groundwork(server)
        _forget_clients()


def _forget_clients() -> None:
    """Ray keeps a client a region, whatever its address, and boto3 the first credentials."""
    boto3.setup_default_session()
    ray_aws.resource_cache.cache_clear()
    ray_aws.client_cache.cache_clear()


@pytest.fixture(scope="module")
def config(world: World) -> dict[str, Any]:
    """The file as the head gets it: checked, filled in and with the cloud's ids."""
    prepared = prepare_config(world.config)
    validate_config(prepared)
    found: dict[str, Any] = AWSNodeProvider.fillout_available_node_types_resources(
        bootstrap_aws(prepared)
    )
    return found


@pytest.fixture
def provider(config: dict[str, Any]) -> Iterator[AWSNodeProvider]:
    made = AWSNodeProvider(config["provider"], config["cluster_name"])
    yield made
    made.terminate_nodes(made.non_terminated_nodes({}))


@pytest.fixture
def launch(config: dict[str, Any], provider: AWSNodeProvider) -> Launch:
    def start(name: str) -> None:
        kind = "head" if name == "head" else "worker"
        named = {"ray-node-type": kind, "ray-user-node-type": name, "ray-launch-config": "x"}
        node_config = config["available_node_types"][name]["node_config"]
        provider.create_node(node_config, named, 1)

    return start


def test_bootstrap_adds_a_key_and_all_zones_and_no_role_or_group_of_rays(
    world: World, config: dict[str, Any]
) -> None:
    zones = {
        subnet["SubnetId"]: subnet["AvailabilityZone"]
        for subnet in world.ec2.describe_subnets()["Subnets"]
    }
    for kind in config["available_node_types"].values():
        node_config = kind["node_config"]
        assert [zones[subnet] for subnet in node_config["SubnetIds"]] == [
            f"{REGION}{letter}" for letter in "abcd"
        ]
        assert node_config["SecurityGroupIds"] == [world.group]
        assert node_config["KeyName"].startswith("ray-autoscaler_")
    groups = world.ec2.describe_security_groups()["SecurityGroups"]
    assert not [group for group in groups if group["GroupName"].startswith("ray-")]
    iam = boto3.client("iam", REGION)
    assert not [one for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("ray-")]


def test_a_type_has_the_resources_that_aws_says_its_machine_has(
    config: dict[str, Any],
) -> None:
    kinds = config["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 3, "GPU": 0}
    for name in (SPOT, STAYS):
        resources = kinds[name]["resources"]
        assert (resources["CPU"], resources["GPU"]) == (8, 1)
        assert resources["accelerator_type:L4"] == 1
    assert kinds[DATA]["resources"]["CPU"] == 8


def test_spot_and_on_demand_machines_are_made_as_the_file_says_and_ended(
    world: World, provider: AWSNodeProvider, launch: Launch
) -> None:
    for name in ("head", SPOT, STAYS, DATA):
        launch(name)
    machines = world.machines()
    assert set(machines) == {"head", SPOT, STAYS, DATA}
    markets = {name: machine.get("InstanceLifecycle") for name, machine in machines.items()}
    assert markets == {"head": None, SPOT: "spot", STAYS: None, DATA: "spot"}
    types = {name: machine["InstanceType"] for name, machine in machines.items()}
    assert types[SPOT] == types[STAYS] == "g6.2xlarge"
    for name, machine in machines.items():
        role = "head" if name == "head" else "worker"
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"/orchestrator-{role}")
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert [group["GroupId"] for group in machine["SecurityGroups"]] == [world.group]
        assert tags(machine)["cluster"] == "orchestrator"
        volume = world.volume(machine)
        assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (True, "gp3", 150)
        assert tags(volume)["cluster"] == "orchestrator"
    assert len(provider.non_terminated_nodes({})) == 4
    provider.terminate_nodes(provider.non_terminated_nodes({}))
    assert provider.non_terminated_nodes({}) == []
    assert world.machines() == {}
    # Ended and not stopped: a stopped machine's disk is paid for.
    states = {
        machine["State"]["Name"]
        for reservation in world.ec2.describe_instances()["Reservations"]
        for machine in reservation["Instances"]
    }
    assert states == {"terminated"}


def test_the_security_group_lets_in_its_own_members_and_the_tunnel(world: World) -> None:
    [group] = world.ec2.describe_security_groups(GroupIds=[world.group])["SecurityGroups"]
    for rule in group["IpPermissions"]:
        assert rule["IpRanges"] == rule.get("Ipv6Ranges", []) == []
        [source] = rule["UserIdGroupPairs"]
        assert (source["GroupId"] == world.group) == (rule["IpProtocol"] == "-1")
        assert rule["IpProtocol"] == "-1" or (rule["FromPort"], rule["ToPort"]) == (22, 22)


class Autoscaler:
    """Ray's, as far as it decides and asks; its loop looks at a cluster that runs."""

    def __init__(self, config: dict[str, Any], provider: AWSNodeProvider) -> None:
        self._config, self._provider = config, provider
        self.tracker = NodeProviderAvailabilityTracker()
        self._pending = ConcurrentCounter()
        self._scheduler = ResourceDemandScheduler(
            provider, config["available_node_types"], config["max_workers"], "head", 10.0
        )

    def wanted(self, demands: list[dict[str, float]]) -> dict[str, int]:
        """What it would ask for."""
        found, _ = self._scheduler.get_nodes_to_launch(
            self._provider.non_terminated_nodes({}),
            {},
            demands,
            {},
            [],
            {},
            [],
            node_availability_summary=self.tracker.summary(),
        )
        return dict(found)

    def ask(self, wanted: dict[str, int]) -> None:
        launcher = BaseNodeLauncher(
            self._provider,
            self._pending,
            EventSummarizer(),
            self.tracker,
            node_types=self._config["available_node_types"],
        )
        for name, number in wanted.items():
            self._pending.inc(name, number)
            launcher.launch_node(self._config, number, name)


def asked_without_spot(
    demand: list[dict[str, float]],
    world: World,
    config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """The types of machine that Ray asks for in four rounds, while spot is refused."""
    with roads_without_spot(world.server) as road:
        monkeypatch.setenv("AWS_ENDPOINT_URL", road)
        _forget_clients()
        autoscaler = Autoscaler(
            config, AWSNodeProvider(config["provider"], config["cluster_name"])
        )
        asked = []
        for _ in range(4):
            wanted = autoscaler.wanted(demand)
            asked += list(wanted)
            autoscaler.ask(wanted)
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.server.url)
    _forget_clients()
    return asked


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTOSCALER_UTILIZATION_SCORER", SCORER)


@pytest.mark.usefixtures("scored")
def test_spot_is_asked_for_first_and_on_demand_once_every_spot_type_was_refused(
    world: World, config: dict[str, Any], launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch("head")
    asked = asked_without_spot([WORKER, WORKER], world, config, monkeypatch)
    # The smallest first, for its cores are used best.
    assert asked[0] == SPOT
    assert sorted(asked[:3]) == sorted([SPOT, "gpu_spot_g6_4xlarge", "gpu_spot_gr6_4xlarge"])
    assert asked[3] == STAYS
    machines = world.machines()
    assert set(machines) == {"head", STAYS}
    assert machines[STAYS].get("InstanceLifecycle") is None


def test_without_the_scorer_ray_asks_for_what_is_refused_again_and_again(
    world: World, config: dict[str, Any], launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch("head")
    asked = asked_without_spot([WORKER], world, config, monkeypatch)
    assert len(set(asked)) == 1


@pytest.mark.usefixtures("scored")
def test_rendering_asks_for_cheap_cores_and_never_for_gpus(
    config: dict[str, Any], provider: AWSNodeProvider, launch: Launch
) -> None:
    launch("head")
    wanted = Autoscaler(config, provider).wanted([{"CPU": 1}] * 40)
    assert wanted
    assert all(name.startswith("data_spot_") for name in wanted)
    assert sum(wanted.values()) * 8 >= 40 - 3


@pytest.mark.parametrize("who", ["head", "launcher"])
def test_the_roles_allow_every_call_that_ray_makes(
    world: World, config: dict[str, Any], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = boto3.client("iam", REGION)
    iam.create_user(UserName=who)
    iam.put_user_policy(UserName=who, PolicyName=who, PolicyDocument=actions_alone(who))
    key = iam.create_access_key(UserName=who)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    _forget_clients()
    with judged(world):
        if who == "launcher":
            again = prepare_config(world.config)
            AWSNodeProvider.fillout_available_node_types_resources(bootstrap_aws(again))
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        named = {
            "ray-node-type": "worker",
            "ray-user-node-type": SPOT,
            "ray-launch-config": "x",
        }
        node_config = config["available_node_types"][SPOT]["node_config"]
        provider.create_node(node_config, named, 1)
        machines = provider.non_terminated_nodes({})
        provider.set_node_tags(machines[0], {"ray-node-status": "up-to-date"})
        provider.terminate_nodes(machines)
        with pytest.raises(botocore.exceptions.ClientError, match="not authorized"):
            boto3.client("ec2", REGION).create_vpc(CidrBlock="10.9.0.0/16")
    monkeypatch.undo()
    _forget_clients()


@contextmanager
def judged(world: World) -> Iterator[None]:
    """Have moto look at who asks for what, in this block alone."""

    def free_actions(number: bytes) -> None:
        request = urllib.request.Request(
            f"{world.server.url}/moto-api/reset-auth",
            data=number,
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=30).close()

    free_actions(b"0")
    try:
        yield
    finally:
        free_actions(b"inf")


def test_the_key_is_kept_where_only_its_owner_reads_it(config: dict[str, Any]) -> None:
    key = Path(config["auth"]["ssh_private_key"])
    assert key.stat().st_mode & 0o077 == 0
