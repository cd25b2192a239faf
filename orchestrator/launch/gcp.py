"""The description as a launcher file for Google Cloud."""

from functools import partial

from orchestrator.launch.description import Description, GcpCloud, Machine
from orchestrator.launch.launcher_file import Cloud, Market, Role, Values, launcher_file

TUNNEL = "gcloud compute start-iap-tunnel %h 22 --listen-on-stdin"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""What an account may do is said by its roles; a scope can only take from that."""


def render(description: Description, gcp: GcpCloud) -> Values:
    """A file for ``ray up`` on Google Cloud."""
    cloud = Cloud(
        name="gcp",
        fleet=gcp.fleet,
        bucket=f"gs://{description.bucket}",
        provider={
            "type": "gcp",
            "project_id": gcp.project,
            "region": gcp.region,
            "availability_zone": gcp.zone,
            "use_internal_ips": True,
            "cache_stopped_nodes": False,
        },
        auth={
            "ssh_user": "ubuntu",
            "ssh_proxy_command": f"{TUNNEL} --project={gcp.project} --zone={gcp.zone}",
            "ssh_proxy_use_node_id": True,
        },
        node_config=partial(_node_config, description, gcp),
    )
    return launcher_file(description, cloud)


def _node_config(
    description: Description, gcp: GcpCloud, machine: Machine, market: Market, role: Role
) -> Values:
    account = f"{description.name}-{'head' if role == 'head' else 'worker'}"
    region = f"projects/{gcp.project}/regions/{gcp.region}"
    # Machines with a GPU cannot be moved to another host.
    stays = role == "gpu" or market == "spot"
    scheduling = {"onHostMaintenance": "TERMINATE" if stays else "MIGRATE"}
    if market == "spot":
        scheduling |= {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"}
    return {
        "machineType": machine.type,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "type": "PERSISTENT",
                "initializeParams": {
                    "diskSizeGb": description.disk_gb,
                    "sourceImage": gcp.image,
                },
            }
        ],
        "networkInterfaces": [{"subnetwork": f"{region}/subnetworks/{gcp.subnetwork}"}],
        "serviceAccounts": [
            {
                "email": f"{account}@{gcp.project}.iam.gserviceaccount.com",
                "scopes": [SCOPE],
            }
        ],
        "shieldedInstanceConfig": {"enableSecureBoot": False, "enableVtpm": True},
        # A list of one, as in Ray's own files.
        "scheduling": [scheduling],
        "labels": description.all_tags,
    }
