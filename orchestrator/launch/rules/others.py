"""Rules for machines of Google Cloud and Azure."""

from orchestrator.launch.rules.finding import Finding, Findings, shown
from orchestrator.launch.rules.tree import Tree, at, entries, items, text


def gcp_findings(values: Tree) -> Findings:
    """What is wrong with a launcher file for Google Cloud."""
    for name, kind in entries(values, "available_node_types"):
        place = f"available_node_types.{name}.node_config"
        config = at(kind, "node_config")
        yield from _gcp_network(config, place)
        if not items(config, "serviceAccounts"):
            yield Finding(
                f"{place}.serviceAccounts",
                "",
                "Ray gives the head an account that may do anything with machines and buckets, "
                "and workers none",
                "Name narrow ones (docs/launch.md)",
            )
        if not dict(entries(config, "labels")):
            yield Finding(
                f"{place}.labels",
                "",
                "no labels: nobody can tell from the bill whose they were",
                "Add some",
            )


def _gcp_network(config: Tree, place: str) -> Findings:
    networks = items(config, "networkInterfaces")
    if not networks:
        yield Finding(
            f"{place}.networkInterfaces",
            "",
            "Ray gives the machine a public address in the default network, which is open at "
            "port 22",
            "Name a subnetwork of your own, without accessConfigs",
        )
    for number, network in enumerate(networks):
        if at(network, "accessConfigs"):
            yield Finding(
                f"{place}.networkInterfaces.{number}.accessConfigs",
                shown(at(network, "accessConfigs")),
                "the machine has a public address",
                "Leave it out, and let what is fetched come in through Cloud NAT",
            )


def azure_findings(values: Tree) -> Findings:
    """What is wrong with a launcher file for Azure."""
    if at(values, "provider", "use_internal_ips") is not True:
        yield Finding(
            "provider.use_internal_ips",
            shown(at(values, "provider", "use_internal_ips")),
            "machines have public addresses, and Ray's network lets the world in at port 22",
            "Write true",
        )
    if not dict(entries(values, "provider", "tags")):
        yield Finding(
            "provider.tags",
            "",
            "no tags: nobody can tell from the bill whose the machines were",
            "Add some",
        )
    for name, kind in entries(values, "available_node_types"):
        parameters = at(kind, "node_config", "azure_arm_parameters")
        policy = text(parameters, "evictionPolicy")
        if text(parameters, "priority") == "Spot" and policy not in {"", "Delete"}:
            yield Finding(
                f"available_node_types.{name}.node_config.azure_arm_parameters.evictionPolicy",
                shown(policy),
                "machines that are taken stay, with their disks, and count against the quota",
                "Write Delete",
            )
