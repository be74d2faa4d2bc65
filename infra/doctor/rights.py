"""Who may do what: grants, and row-level security."""

from collections.abc import Iterator, Mapping, Sequence

from infra.doctor.expected import expected_schema, statement_at
from infra.doctor.facts import Facts, Table
from infra.doctor.findings import Finding, ok, some, wrong


def rights_findings(facts: Facts) -> Iterator[Finding]:
    """What the API's roles may do beside what the migrations grant, and what guards the rows."""
    yield from _granted(facts)
    yield from _guarded(facts)


def _granted(facts: Facts) -> Iterator[Finding]:
    more = list(_differences(_granted_in(facts, is_expected=False), _granted_in(facts, is_expected=True)))
    fewer = list(_differences(_granted_in(facts, is_expected=True), _granted_in(facts, is_expected=False)))
    more += [
        (part.table, f"all on pixseek.{part.table}", role)
        for part in facts.partitions
        for role in part.readers
    ]
    if more:
        what = f"more is allowed than should be: {_said(more)}"
        mend = " ".join(f"revoke {right} from public, {role};" for _, right, role in more)
        yield wrong("database.grants", what, mend)
    if fewer:
        what = f"less is allowed than is needed: {_said(fewer)}"
        yield wrong(
            "database.lost_grants", what, " ".join(f"grant {right} to {role};" for _, right, role in fewer)
        )
    if not (more or fewer):
        yield ok(
            "database.grants", "anon, authenticated and service_role may do what they should, and no more"
        )


def _granted_in(facts: Facts, *, is_expected: bool) -> Mapping[tuple[str, str], Sequence[str]]:
    """Roles by a thing's name and the right to it; of what is there and known."""
    here, known = facts.db_schema, expected_schema()
    asked = known if is_expected else here
    rights = {
        (name, f"execute on function {name}"): function.callers
        for name, function in asked.functions.items()
        if name in here.functions and name in known.functions
    }
    for name, table in asked.tables.items():
        for grant in table.grants if name in here.tables and name in known.tables else ():
            role, _, right = grant.partition(": ")
            key = (name, f"{right} on {name}")
            rights[key] = [*rights.get(key, ()), role]
    return rights


def _differences(
    these: Mapping[tuple[str, str], Sequence[str]], others: Mapping[tuple[str, str], Sequence[str]]
) -> Iterator[tuple[str, str, str]]:
    """What is in these and not in the others: name, right and role."""
    for (name, right), roles in these.items():
        for role in roles:
            if role not in others.get((name, right), ()):
                yield name, right, role


def _said(rights: Sequence[tuple[str, str, str]]) -> str:
    return some([f"{right} to {role}" for _, right, role in rights])


def _guarded(facts: Facts) -> Iterator[Finding]:
    here = facts.db_schema.tables
    pairs = {name: (table, here[name]) for name, table in expected_schema().tables.items() if name in here}
    faults = [*_lost(here), *_open(facts, pairs), *_differing(pairs)]
    yield from faults or [
        ok("database.row_security", "row-level security is on, with the migrations' policies")
    ]


def _lost(here: Mapping[str, Table]) -> Iterator[Finding]:
    if lost := [name for name in expected_schema().tables if name not in here]:
        mend = "when migrations are missing, too, apply those; else restore a backup (docs/operations.md)"
        yield wrong("database.tables", f"tables are missing: {some(lost)}", mend)


def _open(facts: Facts, pairs: Mapping[str, tuple[Table, Table]]) -> Iterator[Finding]:
    open_tables = [
        name for name, (known, found) in pairs.items() if known.row_security and not found.row_security
    ]
    open_tables += [f"pixseek.{part.table}" for part in facts.partitions if not part.row_security]
    if open_tables:
        mend = " ".join(f"alter table {name} enable row level security;" for name in open_tables)
        yield wrong("database.row_security", f"no row-level security on {some(open_tables)}", mend)


def _differing(pairs: Mapping[str, tuple[Table, Table]]) -> Iterator[Finding]:
    more = [
        (name, one)
        for name, (known, found) in pairs.items()
        for one in found.policies
        if one not in known.policies
    ]
    fewer = [
        (name, one)
        for name, (known, found) in pairs.items()
        for one in known.policies
        if one not in found.policies
    ]
    if more or fewer:
        said = [f"{name} has {policy}" for name, policy in more]
        said += [f"{name} lacks {policy}" for name, policy in fewer]
        mend = " ".join(f"drop policy {_quoted(policy)} on {name};" for name, policy in more)
        if fewer:
            places = some([statement_at("policy", policy.partition(":")[0]) for _, policy in fewer])
            mend = f"{mend} run in the dashboard's SQL editor what makes them: {places}".strip()
        yield wrong("database.policies", f"policies differ: {some(said)}", mend)
    triggers = [
        (trigger, name)
        for name, (known, found) in pairs.items()
        for trigger in known.triggers
        if trigger not in found.triggers
    ]
    if triggers:
        what = f"triggers are missing or disabled: {some([f'{one} on {name}' for one, name in triggers])}"
        enabling = " ".join(f"alter table {name} enable trigger {one};" for one, name in triggers)
        places = some([statement_at("trigger", one) for one, _ in triggers])
        mend = f"{enabling} or, where there is none, run what makes it: {places}"
        yield wrong("database.triggers", what, mend)


def _quoted(policy: str) -> str:
    """Its name, as SQL takes any."""
    name = policy.rpartition(": ")[0]
    return '"' + name.replace('"', '""') + '"'
