"""The files of one event that `make bench-ingest` measures memory with."""

from benchmarks.ingest_parts.memory import MANY, each_of_its_own


def test_each_file_of_an_event_has_bytes_of_its_own_behind_the_picture() -> None:
    files = list(each_of_its_own(b"picture" + bytes(10)))

    assert len(set(files)) == MANY
    assert {len(file) for file in files} == {17}
    assert {file[:7] for file in files} == {b"picture"}
