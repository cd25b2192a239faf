"""Roles for AWS allow what is needed, of this cluster, and no more."""

import json
from typing import Any

import pytest

from orchestrator.launch.description import Description
from orchestrator.launch.iam import policy_files
from tests.unit.launch.conftest import ROOT


@pytest.fixture(scope="session")
def policies(description: Description) -> dict[str, list[dict[str, Any]]]:
    assert description.aws is not None
    files = policy_files(description, description.aws)
    return {name: json.loads(text)["Statement"] for name, text in files.items()}


def actions(statements: list[dict[str, Any]]) -> set[str]:
    found: set[str] = set()
    for statement in statements:
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def test_the_files_in_the_project_are_the_rendering(description: Description) -> None:
    assert description.aws is not None
    for name, text in policy_files(description, description.aws).items():
        assert (ROOT / "cloud/aws" / name).read_text(encoding="utf-8") == text


def test_nothing_may_be_done_to_anything(policies: dict[str, list[dict[str, Any]]]) -> None:
    for statements in policies.values():
        assert not any("*" in action for action in actions(statements))
        for statement in statements:
            if statement.get("Resource") == "*":
                assert all(":Describe" in action for action in actions([statement]))


def test_workers_may_use_the_bucket_and_nothing_else(
    policies: dict[str, list[dict[str, Any]]],
) -> None:
    worker = policies["worker.json"]
    assert all(action.startswith("s3:") for action in actions(worker))
    assert {one["Resource"] for one in worker} == {
        "arn:aws:s3:::my-bucket",
        "arn:aws:s3:::my-bucket/*",
    }


@pytest.mark.parametrize(
    ("who", "roles"), [("head", ["worker"]), ("launcher", ["head", "worker"])]
)
def test_machines_are_started_with_tag_and_tokens_and_only_own_ones_ended(
    policies: dict[str, list[dict[str, Any]]], who: str, roles: list[str]
) -> None:
    by_name = {one["Sid"]: one for one in policies[f"{who}.json"] if "Sid" in one}
    started = by_name["StartMachines"]["Condition"]["StringEquals"]
    assert started["aws:RequestTag/cluster"] == "orchestrator"
    assert started["ec2:MetadataHttpTokens"] == "required"
    assert by_name["EncryptedDisks"]["Condition"] == {"Bool": {"ec2:Encrypted": "true"}}
    own = by_name["TagAndEndOwn"]
    assert "ec2:TerminateInstances" in own["Action"]
    assert own["Condition"]["StringEquals"] == {"aws:ResourceTag/cluster": "orchestrator"}
    handed = by_name["HandOnRoles"]["Resource"]
    assert handed == [f"arn:aws:iam::*:role/orchestrator-{role}" for role in roles]


def test_the_head_cannot_hand_on_its_own_role_nor_end_a_bucket(
    policies: dict[str, list[dict[str, Any]]],
) -> None:
    assert "orchestrator-head" not in str(policies["head.json"])
    assert "s3:DeleteBucket" not in actions(policies["head.json"])
