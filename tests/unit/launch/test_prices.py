"""Prices are read from a description or a launcher file, and multiplied by hours."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.launch.prices import Bill, PriceList, bills, price_lists
from tests.unit.launch.conftest import ROOT, SOURCE

PRICES = PriceList(
    cloud="aws",
    as_of="2026-01-01",
    currency="USD",
    head=0.2,
    gpus=1,
    spot=0.5,
    on_demand=1.0,
    data=0.1,
)


def test_a_description_gives_a_list_a_cloud() -> None:
    lists = {one.cloud: one for one in price_lists(ROOT / SOURCE)}
    assert set(lists) == {"aws", "gcp", "azure", "kubernetes"}
    aws = lists["aws"]
    assert (aws.head, aws.spot, aws.on_demand, aws.data) == (0.192, 0.42, 0.978, 0.13)
    assert (aws.gpus, aws.currency) == (1, "USD")
    assert aws.as_of


def test_a_launcher_file_carries_its_prices_along() -> None:
    [found] = price_lists(ROOT / "cluster.yaml")
    assert found == {one.cloud: one for one in price_lists(ROOT / SOURCE)}["aws"]


def test_money_is_hours_by_machines_and_the_head() -> None:
    found = bills(PRICES, {1: 36.0, 2: 18.0, 4: 10.0}, num_steps=1000)
    assert found == [
        Bill(1, 10.0, 7.0, 12.0),
        Bill(2, 5.0, 6.0, 11.0),
        Bill(4, 2.77778, round(1e4 / 3600 * 2.2, 4), round(1e4 / 3600 * 4.2, 4)),
    ]


def test_workers_share_a_machine_with_several_gpus() -> None:
    four = PriceList(**{name: getattr(PRICES, name) for name in PRICES.__slots__} | {"gpus": 4})
    spot = [bill.spot for bill in bills(four, {1: 3.6, 4: 3.6, 5: 3.6}, num_steps=1000)]
    assert spot == [0.7, 0.7, 1.2]


def test_a_market_without_a_price_has_no_bill() -> None:
    none = PriceList(
        **{name: getattr(PRICES, name) for name in PRICES.__slots__} | {"spot": None}
    )
    [bill] = bills(none, {1: 3.6}, num_steps=1000)
    assert (bill.spot, bill.on_demand) == (None, 1.2)


@pytest.mark.parametrize(
    "text",
    [
        "cluster_name: a",
        "metadata: {prices: {hourly: {head: 1}}}\ncluster_name: a",
        "cluster_name: a\nhead_node_type: head\nmetadata: {prices: {hourly: {head: x, g: 1}}}\n"
        "available_node_types: {head: {}, g: {resources: {GPU: 1}}}",
        "apiVersion: ray.io/v1\nkind: RayCluster",
    ],
)
def test_a_file_without_prices_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(ConfigError, match="holds no prices"):
        price_lists(tmp_path / "cluster.yaml")
