"""What is wrong with a deployment, and how to mend it, seen from outside."""

from infra.doctor.choosing import deployment_of, deployment_of_stage
from infra.doctor.deployment import Deployment
from infra.doctor.examining import SUBJECTS, examine, is_well, look_at
from infra.doctor.findings import Finding, Level

__all__ = [
    "SUBJECTS",
    "Deployment",
    "Finding",
    "Level",
    "deployment_of",
    "deployment_of_stage",
    "examine",
    "is_well",
    "look_at",
]
