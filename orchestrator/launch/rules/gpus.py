"""Which GPU a type of machine has, by the clouds' own names."""

import re
from typing import Final

_KNOWN: Final = (
    # AWS
    (r"gr?6\.|gr?6f\.", "L4"),
    (r"g6e\.", "L40S"),
    (r"g5\.", "A10G"),
    (r"g4dn\.", "T4"),
    (r"p3(dn)?\.", "V100"),
    (r"p4d\.", "A100"),
    (r"p4de\.", "A100"),
    (r"p5\.", "H100"),
    (r"p5en?\.", "H200"),
    # Google Cloud
    (r"g2-standard-", "L4"),
    (r"a2-highgpu-|a2-megagpu-", "A100"),
    (r"a2-ultragpu-", "A100"),
    (r"a3-ultragpu-", "H200"),
    (r"a3-", "H100"),
    # Azure
    (r"standard_nv.*_a10_", "A10"),
    (r"standard_nc.*_t4_", "T4"),
    (r"standard_nc.*_a100_", "A100"),
    (r"standard_n[cd].*_h100_", "H100"),
    (r"standard_n[cd].*_h200_", "H200"),
)


def gpu_of(machine: str) -> str | None:
    """The model of a machine's GPUs, in Ray's words; None where it has none that is known."""
    name = machine.lower()
    return next((model for pattern, model in _KNOWN if re.match(pattern, name)), None)
