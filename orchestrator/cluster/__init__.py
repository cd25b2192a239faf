"""Everything that runs on Ray: indexing, ingest, cells, quorum, evaluation, sessions."""
