"""What all sections of a job file have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown keys are errors, "3" is not a number, and nothing changes after loading.

    Validated as JSON: strict mode refuses tuples that come from YAML directly.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
