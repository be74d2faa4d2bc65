"""A storage event comes in, the index follows it."""
