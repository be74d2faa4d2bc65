"""One zip a function for AWS Lambda: its own code and its locked packages, compiled, and nothing else."""

from infra.bundle.building import build
from infra.bundle.choice import ENTRIES, Choice
from infra.bundle.errors import BundleError
from infra.bundle.interpreter import lambda_python

__all__ = ["ENTRIES", "BundleError", "Choice", "build", "lambda_python"]
