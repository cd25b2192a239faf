"""The launcher file, checked offline by Ray's own schema and by what we rely on."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[2] / "cluster.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(CLUSTER.read_text(encoding="utf-8"))
    return values


def test_ray_accepts_the_launcher_file(config: dict[str, Any]) -> None:
    validate_config(prepare_config(config))


def test_ray_refuses_a_key_that_it_does_not_know(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="spot_market"):
        validate_config(prepare_config({**config, "spot_market": True}))


def test_the_head_is_on_demand_and_cannot_train(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["head"] == 1
    assert head["resources"]["GPU"] == 0
    assert head["resources"]["CPU"] >= 2


def test_every_worker_is_a_spot_node(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    workers = [types[name] for name in types if name != config["head_node_type"]]
    markets = [worker["node_config"]["InstanceMarketOptions"] for worker in workers]
    assert markets == [{"MarketType": "spot"}] * 2
    assert [worker["resources"].get("GPU", 0) for worker in workers] == [1, 0]


def test_the_image_holds_the_installed_ray_and_python(config: dict[str, Any]) -> None:
    assert config["docker"]["image"] == f"rayproject/ray:{version('ray')}-py311-gpu"
