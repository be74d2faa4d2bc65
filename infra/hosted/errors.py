"""What stops a deployment to Supabase."""


class HostedError(Exception):
    """Nothing is half done that another run would not finish; the message says what to mend first."""
