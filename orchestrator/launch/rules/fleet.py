"""Rules that hold whatever launcher a file is for."""

from collections.abc import Sequence

from orchestrator.launch.rules.finding import Finding, Findings, shown
from orchestrator.launch.rules.groups import Group

HEAD_CPUS = 2
"""The fewest that the head may tell Ray of: for drivers, controllers and the hand-out."""


def fleet_findings(groups: Sequence[Group]) -> Findings:
    """What is wrong with the machines, taken together and one by one."""
    heads = [group for group in groups if group.is_head]
    workers = [group for group in groups if not group.is_head]
    for head in heads:
        yield from _head(head)
    for group in workers:
        yield from _range(group)
    yield from _gpus(workers)


def _head(head: Group) -> Findings:
    if head.spot:
        yield Finding(
            head.place,
            "spot",
            "the head may be taken away, and every run's driver with it",
            "Have it on demand",
        )
    if head.gpus > 0 or head.gpu_model:
        yield Finding(
            head.place,
            shown(head.gpu_model or head.gpus),
            "the head has a GPU: it would train, and cost as much while nothing trains",
            "Take a machine without one, and tell Ray of GPU: 0",
        )
    if head.cpus is not None and head.cpus < HEAD_CPUS:
        yield Finding(
            head.place,
            shown(head.cpus),
            f"the head tells Ray of fewer than {HEAD_CPUS} CPUs, and drivers live there",
            f"Give it at least {HEAD_CPUS}",
        )


def _range(group: Group) -> Findings:
    for what, amount in (("least", group.least), ("most", group.most)):
        if amount is not None and amount < 0:
            yield Finding(
                group.place,
                shown(amount),
                f"the {what} machines are fewer than none",
                "Write 0 or more",
            )
    least = group.least or 0
    if group.most is not None and 0 <= group.most < least:
        yield Finding(
            group.place,
            f"{least:g} and {group.most:g}",
            "the most machines are fewer than the least",
            "Raise the most, or lower the least",
        )


def _gpus(workers: Sequence[Group]) -> Findings:
    trains = [group for group in workers if group.gpus > 0]
    by_model: dict[str, Group] = {}
    for group in trains:
        if group.gpu_model:
            by_model.setdefault(group.gpu_model, group)
    if len(by_model) > 1:
        last = list(by_model.values())[-1]
        yield Finding(
            last.place,
            " and ".join(by_model),
            "machines that train have several GPU models, and sums are exact within one only",
            "Keep one model, and make another cluster for the other",
        )
    spot = [group for group in trains if group.spot]
    stays = [group for group in trains if not group.spot and (group.most is None or group.most)]
    shapes = {(group.gpu_model, group.gpus) for group in spot}
    if spot and not any((group.gpu_model, group.gpus) in shapes for group in stays):
        yield Finding(
            spot[0].place,
            "",
            "there is no on-demand group of the same GPUs: where no spot machine is to be had, "
            "runs stand still",
            "Add one, with the least at 0: it costs nothing until it is used",
        )
