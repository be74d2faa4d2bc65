"""What deploys to AWS."""
