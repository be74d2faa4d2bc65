"""Whether the database has what the migrations make."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from infra.doctor.answers import NOT_THERE, code_of
from infra.doctor.deployment import Deployment
from infra.doctor.expected import expected_schema, makers, migrations, name_of, statement_at, version_of
from infra.doctor.facts import Facts
from infra.doctor.findings import Finding, FunctionMissing, ok, some, warning, wrong
from infra.doctor.indexes import index_findings
from infra.doctor.rights import rights_findings

_LEAST_PGVECTOR: Final = (0, 8, 0)
_LEAST_S: Final = 3.0
"""A search that has to look at all of 100,000 pictures takes a tenth of it."""
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?")
_SECONDS: Final = {"us": 1e-6, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def look(deployment: Deployment) -> Iterator[Finding]:
    """From what doctor_v1 tells; without it, how far the migrations have come."""
    try:
        facts = deployment.facts
    except FunctionMissing:
        yield _how_far(deployment)
    else:
        yield from fact_findings(facts, apply=deployment.applies_migrations)


def fact_findings(facts: Facts, *, apply: str) -> Iterator[Finding]:
    """`apply`: what applies the migrations."""
    yield from migration_findings(facts, apply)
    yield pgvector_finding(facts.pgvector)
    yield from index_findings(facts)
    yield from rights_findings(facts)
    yield from timeout_findings(facts.timeouts)


def _is_missing(deployment: Deployment, function: str) -> bool:
    """For sure."""
    answer = deployment.rpc(function, {})
    return answer.is_error and code_of(answer) in NOT_THERE


def _how_far(deployment: Deployment) -> Finding:
    """By what can be called without arguments and without a trace."""
    plain = [name for name, function in expected_schema().functions.items() if function.is_plain_read]
    public = [name_of(name) for name in plain if name.startswith("public.")]
    there = [
        makers()[name][0] for name in public if not _is_missing(deployment, name.removeprefix("public."))
    ]
    last = max(there, default=None)
    if last is None:
        what = f"no migration is applied: none of {len(migrations())}"
    else:
        what = f"migrations are missing: the last that is there for sure is {last}, of {migrations()[-1]}"
    return wrong("database.migrations", what, deployment.applies_migrations)


def migration_findings(facts: Facts, apply: str) -> Iterator[Finding]:
    """By the record, if there is one, and by the functions that are there."""
    known, recorded = migrations(), facts.migrations.versions
    unrecorded = [] if recorded is None else [name for name in known if version_of(name) not in recorded]
    lost = [
        signature for signature in expected_schema().functions if signature not in facts.db_schema.functions
    ]
    # A migration that is on record is not applied again.
    whole = [one for one in lost if recorded is not None and makers()[name_of(one)][-1] not in unrecorded]
    missing = {makers()[name_of(one)][-1] for one in lost if one not in whole}
    if facts.migrations.fault:
        what = f"the record of migrations cannot be read (SQLSTATE {facts.migrations.fault})"
        mend = (
            "grant usage on schema supabase_migrations to postgres; "
            "grant select on supabase_migrations.schema_migrations to postgres;"
        )
        yield warning("database.record", what, mend)
    if missing or _made_nothing(unrecorded):
        found = sorted({*missing, *unrecorded})
        what = f"{len(found)} of {len(known)} migrations are not applied, or not whole: {some(found)}"
        yield wrong("database.migrations", what, apply)
    elif unrecorded:
        versions = " ".join(version_of(name) for name in unrecorded)
        what = f"{len(unrecorded)} migrations were applied by hand, and are not on record: {some(unrecorded)}"
        yield warning("database.migrations", what, f"supabase migration repair --status applied {versions}")
    else:
        yield ok("database.migrations", f"all {len(known)} migrations are there, the last: {known[-1]}")
    yield from _lost(whole)
    yield from _newer(recorded or [])


def _lost(functions: list[str]) -> Iterator[Finding]:
    if functions:
        places = some([statement_at("function", name_of(one)) for one in functions])
        mend = f"run what makes them, and its grants, in the dashboard's SQL editor: {places}"
        yield wrong(
            "database.functions", f"functions are missing, or take other arguments: {some(functions)}", mend
        )
    else:
        yield ok("database.functions", f"{len(expected_schema().functions)} functions are there")


def _newer(recorded: list[str]) -> Iterator[Finding]:
    versions_known = {version_of(name) for name in migrations()}
    if later := [version for version in recorded if version not in versions_known]:
        what = f"the database has migrations that this copy of pixseek lacks: {some(later)}"
        mend = "another copy has deployed it: use that, or bring this up to date"
        yield warning("database.newer", what, mend)


def _made_nothing(unrecorded: list[str]) -> bool:
    """Whether there are some of which no function could tell that they are there."""
    return any(not any(name in made for made in makers().values()) for name in unrecorded)


def pgvector_finding(version: str | None) -> Finding:
    """Half vectors and iterative scans came with 0.8.0."""
    if version is None:
        mend = "create extension vector with schema extensions; (in the dashboard: Database, Extensions)"
        return wrong("database.pgvector", "the extension vector is not there", mend)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < _LEAST_PGVECTOR:
        mend = (
            "upgrade the project's Postgres (dashboard: Infrastructure), then: alter extension vector update;"
        )
        return wrong("database.pgvector", f"pgvector {version} is too old: 0.8.0 is needed", mend)
    return ok("database.pgvector", f"pgvector {version}")


def timeout_findings(timeouts: Mapping[str, str | None]) -> Iterator[Finding]:
    """A role without one has that of `authenticator`, as whom every call comes in."""
    short = {}
    for role in ("anon", "authenticated", "service_role"):
        set_to = timeouts.get(role) or timeouts.get("authenticator") or "0"
        if 0 < _seconds(set_to) < _LEAST_S:
            short[role] = set_to
    if short:
        what = ", ".join(f"{role} has {set_to} for a statement" for role, set_to in short.items())
        mend = " ".join(f"alter role {role} set statement_timeout = '8s';" for role in short)
        yield warning(
            "database.timeouts", f"{what}: searches may be cut off", f"{mend} notify pgrst, 'reload config';"
        )
    else:
        yield ok("database.timeouts", "statements have time enough")


def _seconds(setting: str) -> float:
    """From Postgres' way of writing it; without a unit it is milliseconds. 0 is no limit."""
    found = _TIME.fullmatch(setting.strip())
    return float(found[1]) * _SECONDS[found[2] or "ms"] if found else 0.0
