"""What `benchmarks.search_http` is made of."""
