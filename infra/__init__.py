"""What surrounds the functions: the embedded stack and the command line."""
