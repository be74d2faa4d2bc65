"""What stops a bundle from being built."""


class BundleError(Exception):
    """The message says what is wrong and what to do next."""
