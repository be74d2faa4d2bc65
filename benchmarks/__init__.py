"""What is measured: one file a question, one `make` target each."""
