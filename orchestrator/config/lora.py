"""The ``lora`` section: the adapter that is trained."""

from pydantic import Field, PositiveInt

from orchestrator.config.section import Section


class LoraConfig(Section):
    """Low-rank adapters on every linear layer of the language model."""

    rank: PositiveInt = 16
    """Width of an adapter: more can learn more, and costs memory and time."""

    alpha: PositiveInt = 32
    """Strength of an adapter; what counts is alpha / rank."""

    dropout: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of an adapter's inputs that training leaves out at random."""
