"""Everything that runs on Ray: indexing, ingest, cells, quorum, evaluation, sessions."""

import os

# Torchft tells its log of every agreement: half a kilobyte a line, ten lines a step and worker.
# It reads this once, as it is loaded.
os.environ.setdefault("RUST_LOG", "error")
