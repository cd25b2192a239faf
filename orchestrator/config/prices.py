"""The ``scale.prices`` section: what machines cost, so that a run can say what it cost."""

from pydantic import Field, NonNegativeFloat

from orchestrator.config.section import Section


class PriceConfig(Section):
    """Prices of an hour. They decide nothing."""

    worker: NonNegativeFloat
    """Of one worker: its machine's price, divided by the workers on it."""

    standing: NonNegativeFloat = 0.0
    """Of what is there however many workers there are: the head, machines that render."""

    currency: str = Field(default="USD", min_length=1)
    """What they are in."""
