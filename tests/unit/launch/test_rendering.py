"""Four launchers' files from one description."""

import itertools
from typing import Any, get_args

import pytest
import yaml

from orchestrator.errors import ConfigError
from orchestrator.launch.description import Description
from orchestrator.launch.rendering import Kind, Target, render, rendered
from tests.unit.launch.conftest import ROOT, SOURCE

LAUNCHERS: tuple[Target, ...] = ("aws", "gcp", "azure")
FILES: list[tuple[Target, Kind]] = [
    *((cloud, "cluster") for cloud in get_args(Target)),
    ("kuberay", "job"),
]


def launcher(description: Description, to: Target) -> dict[str, Any]:
    [values] = rendered(description, to, SOURCE)
    return values


def test_the_file_in_the_project_is_the_rendering(description: Description) -> None:
    written = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    assert written == render(description, "aws", SOURCE)


@pytest.mark.parametrize(("to", "kind"), FILES)
def test_text_reads_back_as_what_was_rendered(
    description: Description, to: Target, kind: Kind
) -> None:
    text = render(description, to, SOURCE, kind)
    assert list(yaml.safe_load_all(text)) == rendered(description, to, SOURCE, kind)


@pytest.mark.parametrize("to", LAUNCHERS)
def test_each_choice_has_its_reason_above_it(description: Description, to: Target) -> None:
    lines = render(description, to, SOURCE).splitlines()
    unexplained = [
        line
        for before, line in itertools.pairwise(lines)
        if line[:1].isalpha() and not before.startswith("#")
    ]
    assert unexplained == []
    head = lines[lines.index("  head:") : lines.index("    resources: {CPU: 3, GPU: 0}")]
    choices = [line for line in head if line.startswith(" " * 6) and line[6].isalpha()]
    bare = [one for one in choices if not head[head.index(one) - 1].strip().startswith("#")]
    # What a machine is needs no reason.
    assert all("Type" in line or "azure" in line for line in bare)


@pytest.mark.parametrize("to", LAUNCHERS)
def test_the_head_stays_and_cannot_train(description: Description, to: Target) -> None:
    values = launcher(description, to)
    head = values["available_node_types"][values["head_node_type"]]
    assert head["resources"] == {"CPU": 3, "GPU": 0}
    assert "spot" not in str(head["node_config"]).lower()
    assert head["max_workers"] == 0


@pytest.mark.parametrize("to", LAUNCHERS)
def test_machines_that_train_are_spot_of_several_types_and_one_gpu(
    description: Description, to: Target
) -> None:
    types = launcher(description, to)["available_node_types"]
    spot = [kind for name, kind in types.items() if name.startswith("gpu_spot")]
    stays = [kind for name, kind in types.items() if name.startswith("gpu_on_demand")]
    # Azure has one type of machine with one A100.
    assert len(spot) >= (1 if to == "azure" else 2)
    assert all(kind["resources"]["spot"] == 1 for kind in spot)
    models = {
        name for kind in [*spot, *stays] for name in kind["resources"] if "accelerator" in name
    }
    assert len(models) == 1
    # The fallback has the shape of the first, and differs in the market alone.
    [fallback] = stays
    cheapest = dict(spot[0]["resources"])
    assert cheapest.pop("spot") == 1
    assert fallback["resources"] == cheapest
    assert fallback["min_workers"] == 0


@pytest.mark.parametrize("to", LAUNCHERS)
def test_the_least_is_asked_of_the_cheapest_type_alone(
    description: Description, to: Target
) -> None:
    more = description.model_copy(update={"gpu_spot": (2, 5)})
    types = launcher(more, to)["available_node_types"]
    spot = [kind for name, kind in types.items() if name.startswith("gpu_spot")]
    assert [kind["min_workers"] for kind in spot] == [2] + [0] * (len(spot) - 1)
    assert {kind["max_workers"] for kind in spot} == {5}


@pytest.mark.parametrize("to", LAUNCHERS)
def test_every_machine_is_watched_and_wants_the_token(
    description: Description, to: Target
) -> None:
    values = launcher(description, to)
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert any(f"orchestrator watch --cloud {to}" in one for one in values[commands])
    assert "--env RAY_AUTH_MODE=token" in values["docker"]["run_options"]
    assert values["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"


@pytest.mark.parametrize("to", LAUNCHERS)
def test_prices_go_along_for_every_type(description: Description, to: Target) -> None:
    values = launcher(description, to)
    hourly = values["metadata"]["prices"]["hourly"]
    assert set(hourly) == set(values["available_node_types"])
    assert all(price > 0 for price in hourly.values())


def test_aws_machines_are_encrypted_tagged_and_give_no_credentials_away(
    description: Description,
) -> None:
    for kind in launcher(description, "aws")["available_node_types"].values():
        config = kind["node_config"]
        assert config["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in config["BlockDeviceMappings"])
        tagged = {spec["ResourceType"]: spec["Tags"] for spec in config["TagSpecifications"]}
        assert {"Key": "cluster", "Value": "orchestrator"} in tagged["volume"]
        assert tagged["volume"] == tagged["instance"]


def test_no_machine_has_a_public_address(description: Description) -> None:
    for to in LAUNCHERS:
        assert launcher(description, to)["provider"]["use_internal_ips"] is True
    for kind in launcher(description, "gcp")["available_node_types"].values():
        [network] = kind["node_config"]["networkInterfaces"]
        assert "accessConfigs" not in network


@pytest.mark.parametrize("kind", ["cluster", "job"])
def test_pods_outlive_rays_drain_and_the_head_is_not_evicted(
    description: Description, kind: Kind
) -> None:
    first, *guards = rendered(description, "kuberay", SOURCE, kind)
    spec = first["spec"] if kind == "cluster" else first["spec"]["rayClusterSpec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        env = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
        drain_s = int(env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert pod["terminationGracePeriodSeconds"] > drain_s
    budgets = {
        one["spec"]["selector"]["matchLabels"]["ray.io/node-type"]: one["spec"]
        for one in guards
        if one["kind"] == "PodDisruptionBudget"
    }
    assert budgets["head"]["maxUnavailable"] == 0
    assert budgets["worker"]["maxUnavailable"] == 1
    labels = spec["headGroupSpec"]["template"]["metadata"]["labels"]
    assert (
        budgets["head"]["selector"]["matchLabels"].items()
        <= {
            **labels,
            "ray.io/node-type": "head",
        }.items()
    )


def test_a_job_reads_its_file_from_a_config_map(description: Description) -> None:
    job, *_ = rendered(description, "kuberay", SOURCE, "job")
    spec = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert {"name": "job", "configMap": {"name": "orchestrator-job"}} in spec["volumes"]
    [mount] = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "job"]
    assert job["spec"]["entrypoint"].startswith(f"orchestrator train {mount['mountPath']}/")


@pytest.mark.parametrize(
    ("to", "section"),
    [("aws", "aws"), ("gcp", "gcp"), ("azure", "azure"), ("kuberay", "kubernetes")],
)
def test_a_cloud_of_which_nothing_is_said_is_named(
    description: Description, to: Target, section: str
) -> None:
    less = description.model_copy(update={section: None})
    with pytest.raises(ConfigError, match=f"spot_l4.yaml: {section}: there is no such section"):
        render(less, to, SOURCE)
