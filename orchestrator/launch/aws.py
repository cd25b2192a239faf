"""The description as a launcher file for AWS."""

from functools import partial

from orchestrator.launch.description import AwsCloud, Description, Machine
from orchestrator.launch.launcher_file import Cloud, Market, Role, Values, launcher_file

TUNNEL = "aws ec2-instance-connect open-tunnel --instance-id %h"


def render(description: Description, aws: AwsCloud) -> Values:
    """A file for ``ray up`` on AWS."""
    cloud = Cloud(
        name="aws",
        fleet=aws.fleet,
        bucket=f"s3://{description.bucket}",
        provider={
            "type": "aws",
            "region": aws.region,
            "availability_zone": ",".join(aws.zones),
            "use_internal_ips": True,
            "cache_stopped_nodes": False,
        },
        auth={
            "ssh_user": "ubuntu",
            "ssh_proxy_command": f"{TUNNEL} --region {aws.region}",
            "ssh_proxy_use_node_id": True,
        },
        node_config=partial(_node_config, description, aws),
    )
    return launcher_file(description, cloud)


def _node_config(
    description: Description, aws: AwsCloud, machine: Machine, market: Market, role: Role
) -> Values:
    profile = "head" if role == "head" else "worker"
    tags = [{"Key": key, "Value": value} for key, value in description.all_tags.items()]
    config: Values = {
        "InstanceType": machine.type,
        "ImageId": aws.image,
        "SecurityGroupIds": [aws.security_group],
        "IamInstanceProfile": {"Name": f"{description.name}-{profile}"},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/sda1",
                "Ebs": {
                    "VolumeSize": description.disk_gb,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
        ],
    }
    if market == "spot":
        config["InstanceMarketOptions"] = {"MarketType": "spot"}
    return config
