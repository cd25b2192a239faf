"""Why each thing in a rendered file is as it is.

A path, and under it the reason; ``*`` stands for any name.
"""

from typing import Final

EDIT: Final = """\
Rendered by orchestrator cluster render --to {cloud} {source}
Edit the description and render again, or edit this file: orchestrator cluster check looks at
either. docs/launch.md tells all steps."""


def _read(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    path = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            found[path] = f"{found[path]} {line.strip()}".lstrip()
        else:
            path = line
            found[path] = ""
    return found


_LAUNCHER: Final = _read("""
cluster_name
    Names the machines. Ray finds those of a cluster by it.
max_workers
    All kinds together, beside the head: the bill cannot exceed that many.
upscaling_speed
    Ask for all missing machines at once: spot capacity that is there now may be gone in a
    minute.
idle_timeout_minutes
    Long enough that a machine is not given back between an evaluation and the next job.
provider
    Where machines come from.
provider/use_internal_ips
    No machine is reached by a public address.
provider/cache_stopped_nodes
    A stopped spot machine cannot be counted on to start again, and its disk costs money:
    take new ones.
auth
    How the launcher gets in.
docker
    The image settles Python, CUDA and Ray, so that all machines are of one numeric class.
docker/image
    Its Ray has to be the one that the project is built on.
docker/container_name
    One container a machine.
docker/pull_before_run
    What the tag means now, not what a machine's image has.
docker/run_options
    Every actor and connection holds files open; and nobody speaks to Ray without the token.
head_node_type
    Which of the types below is the head.
available_node_types
    In the order of the description. Each type of spot machine has pools of its own; all
    that train have one GPU model, for sums are exact within one only.
available_node_types/head
    On demand and without a GPU: here lives what must not die with a spot machine (driver,
    quorum, hand-out, controllers). It never trains.
available_node_types/gpu_spot_*
    Trains, and renders images on cores that are left. A worker that waits for a place is
    the demand that starts one.
available_node_types/gpu_on_demand_*
    The same machine at the full price, asked for where spot was refused within the last
    half hour, so that a run does not stand still.
available_node_types/data_spot_*
    Renders images. What is lost here is rendered again, so the cheapest cores will do.
available_node_types/head/resources
    One core fewer than it has: that one is for Ray's own processes, which would otherwise
    miss their heartbeats.
available_node_types/gpu_spot_*/resources
    The autoscaler knows spot machines by the resource spot, and asks for them first.
available_node_types/head/max_workers
    No second one.
available_node_types/gpu_spot_*/min_workers
    None without a job.
file_mounts
    The working tree as it is; and Ray's token, which has to be the same on all machines:
    ray get-auth-token --generate makes it here first.
rsync_exclude
    What is made from the tree, and what a run writes.
setup_commands
    From the lock file, so that every machine has the same libraries to the byte: make lock
    writes it anew.
head_setup_commands
    None: all that the head asks the cloud with is in the lock file.
head_start_ray_commands
    The dashboard and MLflow listen on loopback: reach them through a tunnel. MLflow's
    database goes with the head; a new head's is made anew from the runs in the bucket.
    Autoscaler 1 with the project's scorer: version 2 asks for spot for ever where it is
    refused. The watchman turns an interruption notice into a drain; it ends with Ray, and
    is started again if it dies before.
worker_start_ray_commands
    Fixed ports where Ray allows it, which are listed in orchestrator/launch/ports.py; and
    the watchman.
metadata
    Prices of an hour, for orchestrator plan --cluster. Ray does not read them.
""")

_AWS: Final = _read("""
provider/region
    The bucket should be there too: traffic between regions is paid for.
provider/availability_zone
    Several zones: each has spot pools of its own, and they seldom run dry together.
auth/ssh_user
    The machine image's.
auth/ssh_proxy_command
    By AWS's own tunnel (EC2 Instance Connect Endpoint), with your AWS credentials: no port
    is open to the internet.
auth/ssh_proxy_use_node_id
    The tunnel wants a machine's id.
available_node_types/*/node_config/ImageId
    Docker and a driver for the GPU are in it. The newest: put an ami- id here to have the
    same one next month.
available_node_types/*/node_config/SecurityGroupIds
    Made beforehand: lets in its own members and the tunnel. Ray's own would let the world
    in at port 22.
available_node_types/*/node_config/IamInstanceProfile
    Narrow roles (cloud/aws): the head may start and end machines of this cluster, workers
    may use the bucket. Ray's own may do anything with EC2 and S3.
available_node_types/*/node_config/MetadataOptions
    Version 2 of the metadata service only, one hop: a request that a page or a file made
    some library send gets no credentials.
available_node_types/*/node_config/BlockDeviceMappings
    Encrypted, and gone with the machine. Holds the container, the base model and what Ray
    spills.
available_node_types/*/node_config/TagSpecifications
    For the bill: activate these tags for cost allocation.
available_node_types/*/node_config/InstanceMarketOptions
    No maximum price: it then is the on-demand price, and a lower one only loses machines
    sooner.
""")

_GCP: Final = _read("""
provider/project_id
    Pays.
provider/region
    The bucket should be there too.
provider/availability_zone
    One: Ray's launcher for Google Cloud knows no more.
auth/ssh_user
    Ray makes it, with a key of its own.
auth/ssh_proxy_command
    Through IAP, with your own login: the firewall lets in SSH from 35.235.240.0/20 and
    nothing else.
auth/ssh_proxy_use_node_id
    The tunnel wants a machine's name.
available_node_types/*/node_config/disks
    Encrypted at rest, as all disks here.
available_node_types/*/node_config/networkInterfaces
    No address to the outside; what is fetched comes in through Cloud NAT.
available_node_types/*/node_config/serviceAccounts
    The head's may start and end machines, the workers' may use the bucket.
available_node_types/*/node_config/shieldedInstanceConfig
    Secure boot would refuse NVIDIA's driver.
available_node_types/*/node_config/scheduling
    Spot machines are deleted when they are taken; machines with a GPU cannot be moved.
available_node_types/*/node_config/labels
    For the bill.
""")

_AZURE: Final = _read("""
provider/subscription_id
    Pays.
provider/location
    Data should be near.
provider/resource_group
    Made by Ray, with a network of its own: deleting it deletes everything. Ray's rule for
    SSH from anywhere reaches nobody, for no machine has an address to the outside; run the
    launcher where the inside is reached.
provider/availability_zone
    Several zones: each has spot pools of its own.
provider/tags
    For the bill.
auth/ssh_user
    Ray makes it, with a key of its own.
available_node_types/*/node_config/azure_arm_parameters
    Disks are encrypted by the platform, as all here. Spot machines are deleted when they
    are taken, and cost the on-demand price at most. Runs go to S3 or a Google bucket: no
    others are known.
available_node_types/*/node_config/tags
    For the bill.
""")

_PODS: Final = _read("""
rayVersion
    The one that the project is built on.
authOptions
    The operator makes a token, and gives it to every pod.
autoscalerOptions
    Version 2 looks at priorities, and passes over a group whose pods find no node.
headGroupSpec
    On a node that stays and without a GPU: what must not die with a spot node lives here.
    It never trains.
headGroupSpec/serviceType
    Inside only: kubectl port-forward leads there.
headGroupSpec/rayStartParams
    One core fewer than it has, for Ray's own processes. The dashboard is asked by the
    operator, which the network policy lets in.
headGroupSpec/template/metadata/annotations
    What makes room among nodes leaves it alone.
workerGroupSpecs
    GPU pods on spot nodes, the same on nodes that stay where spot does not come, and spot
    pods that render images.
workerGroupSpecs/priority
    Spot first.
workerGroupSpecs/template/spec/terminationGracePeriodSeconds
    Longer than Ray's drain (RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S), which begins with the
    SIGTERM.
workerGroupSpecs/template/spec/nodeSelector
    Which nodes: spot or not, and with which GPU: one model, for sums are exact within one
    only.
workerGroupSpecs/template/spec/containers/lifecycle
    The watchman hears the cloud's notice, which comes before the SIGTERM, where pods may
    ask the metadata service; it ends with the container.
""")

_DOCUMENTS: Final = _read("""
apiVersion
    Needs the KubeRay operator, 1.6 or newer.
metadata/labels
    For the bill, and for the guards below.
spec/entrypoint
    The same train as everywhere; the job file is the config map's.
spec/backoffLimit
    A cluster whose head died is made anew, and the run goes on from the bucket.
spec/shutdownAfterJobFinishes
    No pod outlives the work.
spec/submitterPodTemplate
    It hands the job in and follows it, on a node that stays.
spec/rayClusterSpec
    As in the file of a cluster that stays.
spec/maxUnavailable
    Of the head none: an eviction ends every run on it. Of workers one after the other,
    while the others go on.
spec/ingress
    Pods of this cluster among themselves, and the operator at the dashboard.
""")

KUBERAY: Final = _DOCUMENTS | {
    f"{place}/{name}": reason
    for place in ("spec", "spec/rayClusterSpec")
    for name, reason in _PODS.items()
}
"""Of Kubernetes files, all documents together."""

REASONS: Final = {
    "aws": _LAUNCHER | _AWS,
    "gcp": _LAUNCHER | _GCP,
    "azure": _LAUNCHER | _AZURE,
}
"""Of launcher files, by cloud."""
