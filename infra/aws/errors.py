"""What stops a deployment to AWS."""


class AwsError(Exception):
    """Nothing is half done that another run would not finish; the message says what to mend first."""
