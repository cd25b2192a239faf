"""How much is computed at once. Part of the arithmetic, so no settings.

A matrix product's last bits know its size: other numbers here give other weights.
"""

CHUNK_PATCHES = 8192
"""Patches that the vision tower takes at once: what it needs on the way is freed in between."""

CHUNK_LOGITS = 1 << 25
"""Logits that are alive at once, at 12 bytes each with all that is computed from them: 0.4 GiB,
220 label tokens of a vocabulary of 152,064."""
