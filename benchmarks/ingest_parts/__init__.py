"""The parts of `benchmarks.ingest`."""
