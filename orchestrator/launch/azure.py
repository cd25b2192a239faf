"""The description as a launcher file for Azure."""

from functools import partial

from orchestrator.launch.description import AzureCloud, Description, Machine
from orchestrator.launch.launcher_file import Cloud, Market, Role, Values, launcher_file


def render(description: Description, azure: AzureCloud) -> Values:
    """A file for ``ray up`` on Azure."""
    cloud = Cloud(
        name="azure",
        fleet=azure.fleet,
        # Runs can be kept in S3 and in Google's buckets only.
        bucket=None,
        provider={
            "type": "azure",
            "subscription_id": azure.subscription,
            "location": azure.location,
            "resource_group": azure.resource_group,
            "availability_zone": ",".join(azure.zones),
            "use_internal_ips": True,
            "cache_stopped_nodes": False,
            "tags": description.all_tags,
        },
        auth={"ssh_user": "ubuntu"},
        node_config=partial(_node_config, description, azure),
    )
    return launcher_file(description, cloud)


def _node_config(
    description: Description,
    azure: AzureCloud,
    machine: Machine,
    market: Market,
    _role: Role,
) -> Values:
    publisher, offer, sku, version = azure.image
    parameters: Values = {
        "vmSize": machine.type,
        "imagePublisher": publisher,
        "imageOffer": offer,
        "imageSku": sku,
        "imageVersion": version,
        "osDiskSize": description.disk_gb,
    }
    if market == "spot":
        parameters |= {
            "priority": "Spot",
            "evictionPolicy": "Delete",
            # Up to the on-demand price.
            "billingProfile": {"maxPrice": -1},
        }
    return {"azure_arm_parameters": parameters, "tags": description.all_tags}
