"""Roles for AWS, no wider than they have to be: who launches, the head, the workers.

No account is named: a role can do nothing outside of its own.
"""

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.launch.description import AwsCloud, Description

Policy = dict[str, Any]

_LOOKS = (
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
)
_SSM = "resolve:ssm:"


def policy_files(description: Description, aws: AwsCloud) -> dict[str, str]:
    """The text of each policy, by the name of its file."""
    policies = {
        "trust.json": _trust(),
        "launcher.json": _launcher(description, aws),
        "head.json": _head(description, aws),
        "worker.json": _policy(_bucket(description)),
    }
    return {name: json.dumps(policy, indent=2) + "\n" for name, policy in policies.items()}


def _trust() -> Policy:
    """Machines may take the role on."""
    return _policy(
        [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    )


def _launcher(description: Description, aws: AwsCloud) -> Policy:
    """What a person needs for ``ray up``, ``ray down`` and the tunnel."""
    return _policy(
        [
            *_machines(description, aws, roles=("head", "worker")),
            {
                "Sid": "KeyPair",
                "Effect": "Allow",
                "Action": "ec2:CreateKeyPair",
                "Resource": f"arn:aws:ec2:{aws.region}:*:key-pair/ray-autoscaler_*",
            },
            {
                "Sid": "Tunnel",
                "Effect": "Allow",
                "Action": "ec2-instance-connect:OpenTunnel",
                "Resource": f"arn:aws:ec2:{aws.region}:*:instance-connect-endpoint/*",
                "Condition": {"NumericEquals": {"ec2-instance-connect:remotePort": "22"}},
            },
            {
                "Sid": "LookForTunnelPricesAndLeftovers",
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeInstanceConnectEndpoints",
                    "ec2:DescribeSpotPriceHistory",
                    "ec2:DescribeVolumes",
                ],
                "Resource": "*",
            },
        ]
    )


def _head(description: Description, aws: AwsCloud) -> Policy:
    """What the autoscaler needs, and the driver."""
    machines = _machines(description, aws, roles=("worker",))
    return _policy([*machines, *_bucket(description)])


def _machines(
    description: Description, aws: AwsCloud, roles: Sequence[str]
) -> list[dict[str, Any]]:
    """Start and end machines of this cluster: with its tag, and version 2 metadata only."""
    here = f"arn:aws:ec2:{aws.region}:*"
    mine = {"StringEquals": {"aws:ResourceTag/cluster": description.name}}
    statements: list[dict[str, Any]] = [
        {"Sid": "Look", "Effect": "Allow", "Action": list(_LOOKS), "Resource": "*"},
        {
            "Sid": "StartMachines",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": f"{here}:instance/*",
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/cluster": description.name,
                    "ec2:MetadataHttpTokens": "required",
                    "ec2:InstanceType": sorted(
                        {
                            machine.type
                            for machine in (aws.fleet.head, *aws.fleet.gpu, *aws.fleet.data)
                        }
                    ),
                }
            },
        },
        {
            "Sid": "EncryptedDisks",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": f"{here}:volume/*",
            "Condition": {"Bool": {"ec2:Encrypted": "true"}},
        },
        {
            "Sid": "WhatMachinesAreMadeOf",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [
                f"{here}:key-pair/*",
                f"{here}:network-interface/*",
                f"{here}:security-group/{aws.security_group}",
                f"{here}:spot-instances-request/*",
                f"{here}:subnet/*",
                f"arn:aws:ec2:{aws.region}::image/*",
            ],
        },
        {
            "Sid": "TagAsTheyStart",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": [f"{here}:instance/*", f"{here}:volume/*"],
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {
            "Sid": "TagAndEndOwn",
            "Effect": "Allow",
            "Action": ["ec2:CreateTags", "ec2:TerminateInstances"],
            "Resource": f"{here}:instance/*",
            "Condition": mine,
        },
        {
            "Sid": "HandOnRoles",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [f"arn:aws:iam::*:role/{description.name}-{role}" for role in roles],
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
    ]
    return [*statements, *_image(aws)]


def _image(aws: AwsCloud) -> list[dict[str, Any]]:
    """Read the parameter that holds the machine image's id, where one does."""
    if not aws.image.startswith(_SSM):
        return []
    name = aws.image.removeprefix(_SSM)
    return [
        {
            "Sid": "NewestImage",
            "Effect": "Allow",
            "Action": "ssm:GetParameters",
            "Resource": f"arn:aws:ssm:{aws.region}::parameter{name}",
        }
    ]


def _bucket(description: Description) -> list[dict[str, Any]]:
    bucket = f"arn:aws:s3:::{description.bucket}"
    return [
        {
            "Sid": "FindInBucket",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
            "Resource": bucket,
        },
        {
            "Sid": "ReadAndWriteBucket",
            "Effect": "Allow",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:PutObject",
            ],
            "Resource": f"{bucket}/*",
        },
    ]


def _policy(statements: list[dict[str, Any]]) -> Policy:
    return {"Version": "2012-10-17", "Statement": statements}
