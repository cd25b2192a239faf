"""Whether a combination can run at all, before anything is started for it."""

from orchestrator.cluster.costing import cost
from orchestrator.cluster.prepare import Progress, prepare
from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.errors import ConfigError


def checked(job: Job, progress: Progress | None = None) -> Prepared:
    """Index a trial's data, or find it indexed, and forecast what it will take.

    Raises:
        InputError: It cannot run, and why: not one usable sample, fewer than a step takes, or
            more memory than the smallest device has.
        StorageError: A store did not answer.
    """
    prepared = prepare(job, progress)
    num_samples = prepared.indexes["train"].num_samples
    if num_samples < job.train.global_batch:
        raise ConfigError(
            f"too few samples: {num_samples} can be used, and a step takes "
            f"{job.train.global_batch}",
            job.name,
            "Lower train.global_batch, or see orchestrator index for what was set aside",
        )
    costs = cost(prepared)
    if costs.fits is False:
        raise ConfigError(
            f"too little memory: {costs.needed_mb:,.0f} MB are needed, and "
            f"{costs.usable_mb or 0:,.0f} MB can be used ({costs.device})",
            job.name,
            "Lower train.micro_tokens, or use larger devices",
        )
    return prepared
