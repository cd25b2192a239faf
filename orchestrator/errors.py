"""Every failure we raise on purpose.

All arguments are positional and reach ``Exception.args``, so that an error survives the trip
between actors: ``cluster/`` unwraps the copy that Ray puts around it.
"""


class OrchestratorError(Exception):
    """Says what is wrong, where, and what to do next."""

    def __init__(self, problem: str, where: str, fix: str) -> None:
        super().__init__(problem, where, fix)

    @property
    def problem(self) -> str:
        """What is wrong, with the value."""
        return str(self.args[0])

    @property
    def where(self) -> str:
        """File and field, sample, or function."""
        return str(self.args[1])

    @property
    def fix(self) -> str:
        """What to do next."""
        return str(self.args[2])

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. {self.fix}."


class InputError(OrchestratorError):
    """A person's input cannot be used: exit code 2."""


class ConfigError(InputError):
    """A job file says something that cannot be run."""


class DataError(InputError):
    """A data set as a whole cannot be used; a single bad sample is quarantined instead."""


class ModelError(InputError):
    """A model folder cannot be used, or is of no family we know."""


class PlanError(OrchestratorError):
    """A step was asked for that the plan does not hold."""


class StorageError(OrchestratorError):
    """A store does not answer, or what it holds is not what was written."""


class LeaseError(OrchestratorError):
    """Another trainer holds the run."""


class NonFiniteError(OrchestratorError):
    """A loss or gradient is NaN or infinite."""


class JobError(OrchestratorError):
    """The job failed for a reason of its own: a bug in it, or a figure that cannot be."""


class FaultError(OrchestratorError):
    """A machine or process was lost and nobody was left to carry on."""
