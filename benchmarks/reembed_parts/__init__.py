"""What `benchmarks.reembed` is made of."""
