"""Whether the database has what the migrations make, as they make it."""

from collections.abc import Iterator
from typing import Final

from infra.doctor.deployment import NOT_THERE, Deployment, code_of
from infra.doctor.expected import expected_schema, makers, migrations, name_of
from infra.doctor.facts import Facts
from infra.doctor.findings import Finding, NotLookedAt, ok, some, warning, wrong
from infra.doctor.indexes import index_findings
from infra.doctor.rights import rights_findings
from infra.doctor.timeouts import timeout_findings

_LEAST_PGVECTOR: Final = (0, 8, 0)


def look(deployment: Deployment) -> Iterator[Finding]:
    """From what doctor_v1 tells; without it, how far the migrations have come."""
    if _is_missing(deployment, "doctor_v1"):
        yield _how_far(deployment)
        raise NotLookedAt("what else the database has can be told when the migrations are applied")
    yield from fact_findings(deployment.facts, apply=_apply(deployment))


def fact_findings(facts: Facts, *, apply: str) -> Iterator[Finding]:
    """`apply`: what applies the migrations."""
    yield from migration_findings(facts, apply)
    yield pgvector_finding(facts.pgvector)
    yield from function_findings(facts)
    yield from index_findings(facts)
    yield from rights_findings(facts)
    yield from timeout_findings(facts.timeouts)


def _is_missing(deployment: Deployment, function: str) -> bool | None:
    """None when that cannot be told."""
    answer = deployment.rpc(deployment.variable("SUPABASE_SERVICE_ROLE_KEY"), function, {})
    if answer.is_success:
        return False
    return True if code_of(answer) in NOT_THERE else None


def _how_far(deployment: Deployment) -> Finding:
    """By what can be called without arguments and without a trace."""
    plain = [name for name, function in expected_schema().functions.items() if function.is_plain_read]
    public = [name_of(name) for name in plain if name.startswith("public.")]
    there = [
        makers()[name][0]
        for name in public
        if _is_missing(deployment, name.removeprefix("public.")) is not True
    ]
    last = max(there, default=None)
    if last is None:
        what = f"no migration is applied: none of {len(migrations())}"
    else:
        what = f"migrations are missing: the last that is there for sure is {last}, of {migrations()[-1]}"
    return wrong("database.migrations", what, _apply(deployment))


def migration_findings(facts: Facts, apply: str) -> Iterator[Finding]:
    """By the record, if there is one, and by the functions that are there."""
    known, recorded = migrations(), facts.migrations
    there = {name_of(signature) for signature in facts.db_schema.functions}
    lacking = {name_of(signature) for signature in expected_schema().functions} - there
    missing = {makers()[name][0] for name in lacking}
    unrecorded = [] if recorded is None else [name for name in known if name.split("_")[0] not in recorded]
    if missing or _made_nothing(unrecorded):
        found = sorted({*missing, *unrecorded})
        what = f"{len(found)} of {len(known)} migrations are not applied, or not whole: {some(found)}"
        yield wrong("database.migrations", what, apply)
    elif unrecorded:
        versions = " ".join(name.split("_")[0] for name in unrecorded)
        what = f"{len(unrecorded)} migrations were applied by hand, and are not on record: {some(unrecorded)}"
        yield warning("database.migrations", what, f"supabase migration repair --status applied {versions}")
    else:
        yield ok("database.migrations", f"all {len(known)} migrations are there, the last: {known[-1]}")
    versions_known = {name.split("_")[0] for name in known}
    if later := [version for version in recorded or [] if version not in versions_known]:
        what = f"the database has migrations that this copy of pixseek lacks: {some(later)}"
        yield warning(
            "database.newer", what, "another copy has deployed it: use that, or bring this up to date"
        )


def _made_nothing(unrecorded: list[str]) -> bool:
    """Whether there are some of which no function could tell that they are there."""
    return any(not any(name in made for made in makers().values()) for name in unrecorded)


def pgvector_finding(version: str | None) -> Finding:
    """Half vectors and iterative scans came with 0.8.0."""
    if version is None:
        mend = "create extension vector with schema extensions; (in the dashboard: Database, Extensions)"
        return wrong("database.pgvector", "the extension vector is not there", mend)
    if tuple(int(part) for part in version.split(".")) < _LEAST_PGVECTOR:
        mend = (
            "upgrade the project's Postgres (dashboard: Infrastructure), then: alter extension vector update;"
        )
        return wrong("database.pgvector", f"pgvector {version} is too old: 0.8.0 is needed", mend)
    return ok("database.pgvector", f"pgvector {version}")


def function_findings(facts: Facts) -> Iterator[Finding]:
    """Each function is there once, and is what its migration says."""
    expected, found = expected_schema().functions, facts.db_schema.functions
    names = {name_of(signature) for signature in expected}
    extra = [one for one in found if one not in expected and name_of(one) in names]
    lost = [
        one for one in expected if one not in found and name_of(one) in {name_of(other) for other in found}
    ]
    changed = [one for one in expected if one in found and found[one].digest != expected[one].digest]
    if doubles := [one for one in extra if one.startswith("public.")]:
        what = (
            f"there are more functions of a name than one, so that calls may not find theirs: {some(doubles)}"
        )
        mend = " ".join(f"drop function {one};" for one in doubles)
        yield wrong("database.doubles", what, mend)
    if lost:
        what = f"functions with other arguments than these are there: {some(lost)}"
        yield wrong("database.signatures", what, f"create them anew from {_made_last(lost)}")
    if changed:
        what = f"functions are not as their migrations have them: {some(changed)}"
        yield wrong("database.changed", what, f"create them anew (or replace) from {_made_last(changed)}")
    if not (doubles or lost or changed):
        yield ok("database.functions", f"{len(expected)} functions are as they should be")


def _made_last(signatures: list[str]) -> str:
    return some(sorted({f"{makers()[name_of(one)][-1]}.sql" for one in signatures}))


def _apply(deployment: Deployment) -> str:
    if deployment.is_local:
        return "start the stack anew: it applies them"
    return "make deploy-supabase STAGE=…"
