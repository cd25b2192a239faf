"""What a supervised command starts: its driver."""

from orchestrator.cli.runs import run_train
from orchestrator.cli.search import run_search
from orchestrator.config.job import Job

_DRIVERS = {"train": run_train, "search": run_search}


def drive() -> None:
    """Do as the parent orders, and exit as its command is to."""
    from orchestrator.cluster.driver import Leash

    orders, leash = Leash.taken()
    job = Job.model_validate_json(orders.job_json)
    with leash.told():
        _DRIVERS[orders.command](job, orders.address, orders.as_json, leash.holding())
