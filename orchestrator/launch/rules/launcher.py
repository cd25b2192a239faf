"""Rules for files that ``ray up`` reads."""

import re
from typing import Final

from orchestrator.launch.commands import SCORER, TOKEN
from orchestrator.launch.rules.finding import Finding, Findings, shown
from orchestrator.launch.rules.groups import Group
from orchestrator.launch.rules.tree import Tree, at, entries, items, number, text

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_WATCH: Final = re.compile(r"orchestrator\s+watch")
_KEPT: Final = re.compile(r"(until|while)\b.*orchestrator\s+watch", re.DOTALL)
_DASHBOARD: Final = re.compile(r"--dashboard-host[= ]([^\s'\"]*)")
_TOKEN_MODE: Final = re.compile(r"RAY_AUTH_MODE=token\b")
_INSTALL: Final = re.compile(r"\bpip3?\s+install\b")
_PINNED: Final = re.compile(r"--require-hashes|--no-deps|==|\.lock\b")
_WORKERS: Final = "worker_start_ray_commands"
_HEAD: Final = "head_start_ray_commands"
_LONG_MINUTES: Final = 120


def launcher_findings(values: Tree, groups: list[Group]) -> Findings:
    """What is wrong beside the machines themselves, on any cloud."""
    yield from _sizes(values, groups)
    yield from _watch(values, groups)
    yield from _dashboard(values)
    yield from _token(values)
    yield from _installed(values)
    yield from _fallback(values, groups)
    yield from _pools(values, groups)


def _sizes(values: Tree, groups: list[Group]) -> Findings:
    if not any(group.is_head for group in groups):
        yield Finding(
            "head_node_type",
            shown(at(values, "head_node_type")),
            "is none of available_node_types",
            "Name the one that is the head",
        )
    total = number(values, "max_workers")
    least = sum(group.least or 0 for group in groups if not group.is_head)
    if total is None:
        yield Finding(
            "max_workers", "", "is missing, and Ray allows 2", "Say how many there may be"
        )
    elif total < least:
        yield Finding(
            "max_workers",
            shown(at(values, "max_workers")),
            f"is below the {least:g} that the node types ask for at least",
            "Raise it, or lower their min_workers",
        )
    yield from _idle(values)


def _idle(values: Tree) -> Findings:
    idle = number(values, "idle_timeout_minutes")
    place, value = "idle_timeout_minutes", shown(at(values, "idle_timeout_minutes"))
    if idle is None:
        yield Finding(place, value, "is missing", "Say after how long machines are given back")
    elif not 0 < idle <= _LONG_MINUTES:
        yield Finding(
            place,
            value,
            "machines without work are given back at once, or paid for long",
            f"Write a number of minutes above 0 and up to {_LONG_MINUTES}",
        )


def _watch(values: Tree, groups: list[Group]) -> Findings:
    if not any(group.spot for group in groups):
        return
    typed = "\n".join(map(str, items(values, _WORKERS)))
    if not _WATCH.search(typed):
        yield Finding(
            _WORKERS,
            "",
            "spot machines have no watchman: nothing in Ray hears a cloud's notice",
            "Start orchestrator watch in the background after ray start",
        )
    elif not _KEPT.search(typed):
        yield Finding(
            _WORKERS,
            shown(
                next((one for one in items(values, _WORKERS) if _WATCH.search(str(one))), "")
            ),
            "the watchman is not started again when it dies",
            "Put it into a loop that ends with Ray; cluster.yaml has one",
        )


def _dashboard(values: Tree) -> Findings:
    for number_, command in enumerate(items(values, _HEAD)):
        for host in _DASHBOARD.findall(str(command)):
            if host not in _LOOPBACK:
                yield Finding(
                    f"{_HEAD}.{number_}",
                    f"--dashboard-host={shown(host)}",
                    "the dashboard, which runs jobs for whoever reaches it, listens on all "
                    "interfaces",
                    "Write --dashboard-host=127.0.0.1, and reach it with ray dashboard",
                )


def _token(values: Tree) -> Findings:
    if not _TOKEN_MODE.search(_everything_typed(values)):
        yield Finding(
            "docker.run_options",
            shown(at(values, "docker", "run_options")),
            "token authentication is off: who reaches a port of Ray's runs code",
            "Add --env RAY_AUTH_MODE=token",
        )
    elif not any(there.endswith(TOKEN) for there, _ in entries(values, "file_mounts")):
        yield Finding(
            "file_mounts",
            "",
            "Ray wants a token, and nobody brings it to the machines",
            f"Mount ~/{TOKEN} as {TOKEN} in the home folder there",
        )


def _everything_typed(values: Tree) -> str:
    options = [*items(values, "docker", "run_options")]
    for name, value in entries(values):
        options += items(value) if name.endswith("_commands") else []
    return "\n".join(map(str, options))


def _installed(values: Tree) -> Findings:
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        for number_, command in enumerate(items(values, name)):
            typed = str(command)
            if _INSTALL.search(typed) and not _PINNED.search(typed):
                yield Finding(
                    f"{name}.{number_}",
                    shown(typed),
                    "installs whatever is newest that day: machines of one run may differ",
                    "Install from requirements.lock with --require-hashes",
                )


def _fallback(values: Tree, groups: list[Group]) -> Findings:
    trains = [group for group in groups if group.gpus and not group.is_head]
    if len({group.spot for group in trains}) < 2:
        return
    started = "\n".join(map(str, items(values, _HEAD)))
    if SCORER not in started or "RAY_enable_autoscaler_v2=0" not in started:
        yield Finding(
            _HEAD,
            "",
            "where spot is refused, Ray's autoscaler asks for spot again, and for on-demand "
            "machines never",
            "Start Ray with RAY_enable_autoscaler_v2=0 and "
            f"RAY_AUTOSCALER_UTILIZATION_SCORER={SCORER}",
        )


def _pools(values: Tree, groups: list[Group]) -> Findings:
    spot = [group for group in groups if group.gpus and group.spot and not group.is_head]
    zones = [zone for zone in text(values, "provider", "availability_zone").split(",") if zone]
    if len(spot) == 1 and len(zones) == 1:
        yield Finding(
            spot[0].place,
            zones[0],
            "one type of spot machine in one zone is one pool: when it runs dry, all go",
            "Add zones, or types with the same GPU",
        )


def image_findings(values: Tree, ray_version: str) -> Findings:
    """Whether containers hold the Ray that the project is built on."""
    image = text(values, "docker", "image")
    if "/ray" in image and f":{ray_version}" not in image:
        yield Finding(
            "docker.image",
            shown(image),
            f"holds another Ray than {ray_version}",
            f"Take rayproject/ray:{ray_version}-py311-gpu",
        )
