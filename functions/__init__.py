"""Entry points: each folder deploys alone, none imports another."""
