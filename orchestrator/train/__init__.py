"""One rank's work: rounds, exact sums, state, checkpoints. Knows torch, not Ray."""
