"""What `benchmarks.coldstart` is made of."""
