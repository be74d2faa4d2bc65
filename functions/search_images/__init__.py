"""A sentence comes in, the pictures that show it go out."""
