"""Gloo meets at the address that Ray knows a node by."""

import os

import pytest

from orchestrator.cluster.interfaces import device_of, meet_at


def test_loopback_is_found_by_its_address_and_a_strangers_address_is_not() -> None:
    assert device_of("127.0.0.1") == "lo"
    # Of the block that is kept for documents.
    assert device_of("192.0.2.1") is None


def test_what_the_machines_owner_has_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    meet_at("127.0.0.1")

    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"


def test_an_address_of_no_device_leaves_the_choice_to_gloo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    meet_at("192.0.2.1")
    assert "GLOO_SOCKET_IFNAME" not in os.environ
