"""A container image for Lambda with the model inside: for embedders that are too large for a zip."""
