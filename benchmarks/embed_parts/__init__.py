"""The parts of `benchmarks.embed`."""
