"""The run's manifest: what a run was started with, and may not change under way.

``run.json`` freezes the job, the index's fingerprint, ``micro_tokens`` and the numeric class:
everything that the trained weights depend on. Of a changed job only ``scale`` and ``tracking``
may differ when a run is taken up again, for weights do not depend on them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeAlias

from orchestrator.config.frozen import changes, frozen_settings
from orchestrator.errors import ConfigError, StorageError
from orchestrator.storage import Store

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

MANIFEST: Final = "run.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunManifest:
    """What a run depends on, as its first start found it."""

    job: dict[str, Json]
    """The whole job, with absolute paths."""

    index_fingerprint: str
    micro_tokens: int
    numeric_class: dict[str, str]
    """What decides the bits of a floating-point result: see ``numeric_class``."""

    exact: bool = True
    """Whether the weights are the same to the bit as those of an undisturbed run."""

    other_classes: tuple[dict[str, str], ...] = ()
    """Numeric classes that took part by the job's leave; any of them makes the run inexact."""


def freeze(
    store: Store,
    job: Mapping[str, Json],
    index_fingerprint: str,
    micro_tokens: int,
    numeric_class: Mapping[str, str],
) -> RunManifest:
    """Write a new run's manifest, or hold what is asked for now against the one there is.

    Args:
        store: The run's store; the caller holds its lease.
        job: The resolved job as plain JSON values.
        index_fingerprint: Identity of the data.
        micro_tokens: The token budget that plans are made with.
        numeric_class: That of the machine that trains.

    Returns:
        The run's manifest; ``exact`` is False once a machine of another class was let in.

    Raises:
        ConfigError: Something differs that may not, each field named with both values.
        StorageError: The manifest cannot be read or written.
    """
    asked = RunManifest(
        job=json.loads(json.dumps(job)),
        index_fingerprint=index_fingerprint,
        micro_tokens=micro_tokens,
        numeric_class=dict(numeric_class),
    )
    begun = read_manifest(store)
    if begun is None:
        _write(store, asked)
        return asked
    differing = changes(_frozen(begun), _frozen(asked))
    if differing:
        raise ConfigError(
            "\n  ".join(["this run was begun with other settings", *differing]),
            f"{store.url}/{MANIFEST}",
            "Choose a new name for the changed run, or change these back",
        )
    return admit(store, numeric_class, allow_mixed=_allows_mixed_machines(asked.job))


def admit(store: Store, numeric_class: Mapping[str, str], *, allow_mixed: bool) -> RunManifest:
    """Let a machine take part in a run that has begun, if its arithmetic is the run's.

    Args:
        store: The run's store.
        numeric_class: That of the machine.
        allow_mixed: Let a machine of another class in, and call the run inexact from now on.

    Raises:
        ConfigError: The class is another, and the job gives no leave.
        StorageError: The run has no manifest that can be read.
    """
    manifest = read_manifest(store)
    if manifest is None:
        raise _unreadable(store, "there is none")
    found = dict(numeric_class)
    if found in (manifest.numeric_class, *manifest.other_classes):
        return manifest
    if not allow_mixed:
        differing = changes(manifest.numeric_class, found)
        raise ConfigError(
            "\n  ".join(
                ["this machine would round differently than the run so far", *differing]
            ),
            f"{store.url}/{MANIFEST}",
            "Use machines of one kind, or set scale.allow_mixed_machines to true and "
            "give up bit-equal weights",
        )
    mixed = replace(manifest, exact=False, other_classes=(*manifest.other_classes, found))
    _write(store, mixed)
    return mixed


def give_up_exact(store: Store) -> RunManifest:
    """Mark a run that has begun as not exact, for good.

    Raises:
        StorageError: The run has no manifest that can be read, or written.
    """
    manifest = read_manifest(store)
    if manifest is None:
        raise _unreadable(store, "there is none")
    if manifest.exact:
        manifest = replace(manifest, exact=False)
        _write(store, manifest)
    return manifest


def read_manifest(store: Store) -> RunManifest | None:
    """The run's manifest; None where no run has begun.

    Raises:
        StorageError: It cannot be read.
    """
    if not store.exists(MANIFEST):
        return None
    try:
        value = json.loads(store.read(MANIFEST))
        return RunManifest(**{**value, "other_classes": tuple(value["other_classes"])})
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable(store, str(error)) from error


def _frozen(manifest: RunManifest) -> dict[str, Json]:
    """Every setting that may not change, by its dotted name."""
    return {
        **frozen_settings(manifest.job),
        "index fingerprint": manifest.index_fingerprint,
        "micro_tokens in use": manifest.micro_tokens,
    }


def _allows_mixed_machines(job: Mapping[str, Json]) -> bool:
    scale = job.get("scale")
    return isinstance(scale, dict) and scale.get("allow_mixed_machines") is True


def _write(store: Store, manifest: RunManifest) -> None:
    store.write(MANIFEST, (json.dumps(asdict(manifest), indent=1) + "\n").encode())


def _unreadable(store: Store, why: str) -> StorageError:
    return StorageError(
        f"the run's manifest cannot be read: {why}",
        f"{store.url}/{MANIFEST}",
        "Choose a new name for the run",
    )
