"""Whether Storage's policies let users at what is theirs, and at no more."""

from collections.abc import Iterator
from typing import Final

from infra.doctor.facts import StorageGuards
from infra.doctor.findings import Finding, ok, some, warning, wrong

_OURS: Final = frozenset({"pixseek_read", "pixseek_upload", "pixseek_overwrite", "pixseek_delete"})
_CALLERS: Final = frozenset({"public", "anon", "authenticated"})


def policy_findings(guards: StorageGuards, deploys: str) -> Iterator[Finding]:
    """`deploys`: what applies supabase/hosted/policies.sql."""
    faults = list(_faults(guards, deploys))
    yield from faults or [ok("buckets.policies", "no policy lets everybody at all objects of Storage")]


def _faults(guards: StorageGuards, deploys: str) -> Iterator[Finding]:
    lacking = sorted(_OURS - {policy.name for policy in guards.policies})
    if guards.needs_policies and lacking:
        what = f"Storage lacks policies, without which users cannot reach their pictures: {some(lacking)}"
        yield wrong("buckets.policies", what, f"{deploys}, or apply supabase/hosted/policies.sql")
    if guards.row_security is False:
        mend = (
            "turn it on in the dashboard (Storage, Policies), or ask Supabase: it is on in every new project"
        )
        yield wrong(
            "buckets.row_security", "no row-level security on storage.objects: everybody may do all", mend
        )
    for policy in guards.policies:
        to = sorted(_CALLERS.intersection(policy.roles))
        if policy.lets_all_through and to:
            name = policy.name.replace('"', '""')
            what = f"the policy {policy.name} lets {' and '.join(to)} at every object of Storage"
            mend = f'drop policy "{name}" on storage.objects; or name in it the buckets that it is for'
            yield warning("buckets.open_policy", what, mend)
