"""Rules for machines of AWS."""

from collections.abc import Iterator
from typing import Final

from orchestrator.launch.rules.finding import Finding, Findings, shown
from orchestrator.launch.rules.tree import Tree, at, entries, items, text

_WORLD: Final = {"0.0.0.0/0", "::/0"}


def aws_findings(values: Tree) -> Findings:
    """What is wrong with a launcher file for AWS."""
    yield from _open_ports(values)
    yield from _kept_machines(values)
    head = text(values, "head_node_type")
    for name, kind in entries(values, "available_node_types"):
        place = f"available_node_types.{name}.node_config"
        config = at(kind, "node_config")
        yield from _metadata(config, place)
        yield from _disks(config, place)
        yield from _group(config, place)
        yield from _role(config, place, is_head=name == head)
        yield from _tags(config, place)
        yield from _market(config, place)


def _open_ports(values: Tree) -> Findings:
    where = "provider.security_group.IpPermissions"
    for number, rule in enumerate(items(values, "provider", "security_group", "IpPermissions")):
        for source in _sources(rule):
            if source in _WORLD:
                yield Finding(
                    f"{where}.{number}",
                    source,
                    "a port is open to the internet",
                    "Leave it out, and reach machines through a tunnel",
                )


def _sources(rule: Tree) -> Iterator[str]:
    for span in items(rule, "IpRanges"):
        yield text(span, "CidrIp")
    for span in items(rule, "Ipv6Ranges"):
        yield text(span, "CidrIpv6")


def _kept_machines(values: Tree) -> Findings:
    if at(values, "provider", "cache_stopped_nodes") is not False:
        yield Finding(
            "provider.cache_stopped_nodes",
            shown(at(values, "provider", "cache_stopped_nodes")),
            "machines that are no longer needed are stopped, and their disks paid for",
            "Write false",
        )


def _metadata(config: Tree, place: str) -> Findings:
    wanted = at(config, "MetadataOptions", "HttpTokens")
    if wanted != "required":
        yield Finding(
            f"{place}.MetadataOptions.HttpTokens",
            shown(wanted),
            "version 1 of the metadata service answers: one forged request gets the role's "
            "credentials",
            "Write HttpTokens: required",
        )


def _disks(config: Tree, place: str) -> Findings:
    disks = items(config, "BlockDeviceMappings")
    if not disks:
        yield Finding(
            f"{place}.BlockDeviceMappings",
            shown(at(config, "BlockDeviceMappings")),
            "the disk is the image's own: small, and not encrypted",
            "Name one with Encrypted: true",
        )
    for number, disk in enumerate(disks):
        if at(disk, "Ebs") is not None and at(disk, "Ebs", "Encrypted") is not True:
            yield Finding(
                f"{place}.BlockDeviceMappings.{number}.Ebs.Encrypted",
                shown(at(disk, "Ebs", "Encrypted")),
                "the disk is not encrypted",
                "Write Encrypted: true",
            )


def _group(config: Tree, place: str) -> Findings:
    elsewhere = at(config, "NetworkInterfaces") or at(config, "LaunchTemplate")
    if not items(config, "SecurityGroupIds") and not elsewhere:
        yield Finding(
            f"{place}.SecurityGroupIds",
            shown(at(config, "SecurityGroupIds")),
            "Ray makes a security group that is open to the internet at port 22",
            "Name one that lets in its own members and a tunnel (docs/launch.md)",
        )


def _role(config: Tree, place: str, *, is_head: bool) -> Findings:
    if at(config, "IamInstanceProfile") is None:
        what = (
            "Ray gives the head a role that may do anything with EC2 and S3"
            if is_head
            else "the machine has no role, and reaches no bucket"
        )
        yield Finding(
            f"{place}.IamInstanceProfile",
            "",
            what,
            "Name a narrow one (cloud/aws, docs/launch.md)",
        )


def _tags(config: Tree, place: str) -> Findings:
    tagged = {
        text(spec, "ResourceType")
        for spec in items(config, "TagSpecifications")
        if items(spec, "Tags")
    }
    missing = {"instance", "volume"} - tagged
    if missing:
        yield Finding(
            f"{place}.TagSpecifications",
            "",
            f"no tags on {' and '.join(sorted(missing))}: nobody can tell from the bill whose "
            "they were",
            "Add some",
        )


def _market(config: Tree, place: str) -> Findings:
    price = at(config, "InstanceMarketOptions", "SpotOptions", "MaxPrice")
    if price is not None:
        yield Finding(
            f"{place}.InstanceMarketOptions.SpotOptions.MaxPrice",
            shown(price),
            "a price of one's own only loses machines sooner",
            "Leave it out: it then is the on-demand price",
        )
