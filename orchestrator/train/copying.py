"""A run that begins where another one stands, with other settings from there on."""

from collections.abc import Mapping

from orchestrator.errors import StorageError
from orchestrator.storage import Store
from orchestrator.train.checkpoint import latest_checkpoint, write_checkpoint
from orchestrator.train.manifest import Json, admit, freeze, give_up_exact, read_manifest


def copy_run(source: Store, target: Store, step: int, job: Mapping[str, Json]) -> None:
    """Give a run the state of another one; done again, it is the same.

    The copy is held to what the other one was: the data, ``micro_tokens``, the kind of machine.

    Args:
        source: The run to copy, paused at this step.
        target: Where nothing has been trained yet.
        step: Steps done.
        job: The copy's resolved job as plain JSON values.

    Raises:
        StorageError: The source has no whole checkpoint of this step, or a store failed.
        ConfigError: The target was begun with other settings.
    """
    found, _ = latest_checkpoint(source)
    manifest = read_manifest(source)
    if found is None or found.step != step or manifest is None:
        newest = "none" if found is None else f"one of step {found.step}"
        raise StorageError(
            f"no checkpoint of step {step} to copy: {newest} is there",
            source.url,
            "Search under a new name: somebody has changed this run",
        )
    write_checkpoint(target, step, found.files, lambda: None)
    freeze(
        target, job, manifest.index_fingerprint, manifest.micro_tokens, manifest.numeric_class
    )
    for other in manifest.other_classes:
        admit(target, other, allow_mixed=True)
    if not manifest.exact:
        give_up_exact(target)
