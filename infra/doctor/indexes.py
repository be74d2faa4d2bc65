"""Whether all indexes are there and valid, and each model can be scanned by its own."""

from collections.abc import Iterator

from infra.doctor.expected import expected_schema
from infra.doctor.facts import Facts, Partition
from infra.doctor.findings import Finding, ok, some, wrong


def index_findings(facts: Facts) -> Iterator[Finding]:
    """A search without them reads all."""
    faults = [*_plain(facts), *_of_models(facts)]
    yield from faults or [ok("database.indexes", "all indexes are there and valid")]


def _plain(facts: Facts) -> Iterator[Finding]:
    if facts.broken_indexes:
        mend = " ".join(f"reindex index concurrently pixseek.{name};" for name in facts.broken_indexes)
        what = f"indexes are not valid, so that no search uses them: {some(facts.broken_indexes)}"
        yield wrong("database.indexes", what, mend)
    tables = facts.db_schema.tables
    missing = {
        name: definition
        for table, expected in expected_schema().tables.items()
        for name, definition in expected.indexes.items()
        if table in tables and name not in tables[table].indexes
    }
    if missing:
        mend = " ".join(f"{definition};" for definition in missing.values())
        yield wrong("database.lost_indexes", f"indexes are missing: {some(list(missing))}", mend)


def _of_models(facts: Facts) -> Iterator[Finding]:
    bare = [part for part in facts.partitions if not part.has_index and not _is_broken(part, facts)]
    if bare:
        what = f"models have no vector index: {some([part.model for part in bare])}"
        yield wrong("database.vector_index", what, " ".join(_statement(part) for part in bare))
    if mute := [part.model for part in facts.partitions if not part.has_scan]:
        what = f"models lack the function that scans their index: {some(mute)}"
        mend = "select pixseek.create_scan(m) from pixseek.models m where m.state <> 'dropped';"
        yield wrong("database.scan", what, mend)


def _is_broken(part: Partition, facts: Facts) -> bool:
    """It has one, and that was told."""
    return any(name.startswith(f"{part.table}_") for name in facts.broken_indexes)


def _statement(part: Partition) -> str:
    """As pixseek.create_vector_index has it, without a lock."""
    return (
        f"create index concurrently on pixseek.{part.table} using hnsw "
        f"((embedding::halfvec({part.dimensions})) halfvec_ip_ops) with (m = 20, ef_construction = 256);"
    )
