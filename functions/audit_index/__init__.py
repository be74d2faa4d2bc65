"""On a schedule, buckets are compared with the index and repaired, and the searches' recall is checked."""
