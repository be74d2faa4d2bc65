"""Hostile and wrong input ends in a code, a message and a hint, and leaves nothing half written."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import pytest
from psycopg.types.json import Jsonb

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    DIMENSIONS,
    Database,
    Row,
    Session,
    as_recorded,
    call,
    error,
    index,
    item,
    names,
    own_database,
    result,
    search,
    vector,
)

_LENGTH = 512
_INDEXED = item("indexed.jpg")
_PENDING = item("pending.jpg")
_UNIT = vector(1, dimensions=_LENGTH)
_OF_S3: Row = {"images": [item("a.jpg")], "provider": "s3"}
_SWEPT: Row = {"bucket": "photos", "name": "a.jpg", "ordering_key": ""}
_NO_PREVIEWS: Row = {"preview_names": ["1/1.webp"], "after": "", "until": None}
_RECALL: Row = {"questions": 10, "recall": 1, "short_share": 0, "floor": 0.9}

# The same search by each version.
_SEARCHES: list[tuple[str, Row]] = [
    ("search_images_v1", {"query_embedding": _UNIT}),
    ("search_images_v2", {"query": [{"embedding": _UNIT}]}),
]

_CONTENT = """
select
  (select array_agg(t::text order by t::text) from pixseek.models t),
  (select array_agg(t::text order by t::text) from pixseek.buckets t),
  (select array_agg(t::text order by t::text) from pixseek.images t),
  (select array_agg(t::text order by t::text) from pixseek.vectors t),
  (select array_agg(t::text order by t::text) from pixseek.spare_vectors t),
  (select array_agg(t::text order by t::text) from pixseek.work t),
  (select array_agg(t::text order by t::text) from pixseek.leases t),
  (select array_agg(t::text order by t::text) from pixseek.queries t),
  (select array_agg(t::text order by t::text) from pixseek.guide t),
  (select array_agg(t::text order by t::text) from pixseek.spending_limits t),
  (select array_agg(t::text order by t::text) from pixseek.permits t),
  (select array_agg(t::text order by t::text) from pixseek.calls t),
  (select array_agg(t::text order by t::text) from pixseek.allowances t),
  (select array_agg(t::text order by t::text) from pixseek.asked_texts t),
  (select array_agg(t::text order by t::text) from pixseek.audits t),
  (select array_agg(t::text order by t::text) from pixseek.audit_removals t),
  (select array_agg(t::text order by t::text) from pixseek.recalls t),
  (select array_agg(t::text order by t::text) from pixseek.forgotten t),
  (select count(*) from pg_class where relnamespace = 'pixseek'::regnamespace)
"""


class _Refusal(NamedTuple):
    code: str | None
    message: str
    hint: str | None
    is_nothing_written: bool


class _Prepared(NamedTuple):
    """Models `m` (retired) and `g` (active, 512), two indexed pictures, a pending one, a remembered text."""

    service: Session

    def refusal(self, act: Callable[[], object]) -> _Refusal:
        # Rolled back, so that what is taken by mistake fails one test and not those after it.
        with self.service.transaction(force_rollback=True):
            before = _content(self.service)
            failure = error(lambda: self._in_savepoint(act))
            is_same = _content(self.service) == before
        told = failure.diag
        return _Refusal(failure.sqlstate, told.message_primary or "", told.message_hint, is_same)

    def refused_call(self, function: str, **arguments: object) -> _Refusal:
        return self.refusal(lambda: call(self.service, function, **arguments))

    def refused_insert(self, image: str | None, embedding: str | None) -> _Refusal:
        statement = "insert into public.images (image, embedding) values (%s, %s)"
        return self.refusal(lambda: self.service.execute(statement, (image, embedding)))

    def _in_savepoint(self, act: Callable[[], object]) -> None:
        with self.service.transaction():
            act()


def _content(session: Session) -> list[tuple[object, ...]]:
    return session.execute(_CONTENT.encode()).fetchall()


@pytest.fixture(scope="module")
def prepared(server: Postgres) -> Iterator[_Prepared]:
    with own_database(server) as database:
        service = database.session()
        call(service, "create_model_v1", model_name="g", model_dimensions=_LENGTH)
        call(service, "activate_model_v1", model_name="g")
        index(service, _INDEXED, _UNIT)
        index(service, item("second.jpg"), vector(1, 1, dimensions=_LENGTH))
        call(service, "record_images_v1", images=[_PENDING])
        call(service, "remember_query_v1", query_text="a dog", query_embedding=_UNIT)
        yield _Prepared(service)


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("create_model_v1", {"model_name": None, "model_dimensions": 512}, "22023"),
        ("create_model_v1", {"model_name": "n", "model_dimensions": None}, "22023"),
        (
            "create_model_v1",
            {"model_name": "n", "model_dimensions": 512, "model_similarity_floor": None},
            "22023",
        ),
        ("create_model_v1", {"model_name": "n", "model_dimensions": 512, "model_languages": None}, "22023"),
        ("activate_model_v1", {"model_name": None}, "22023"),
        ("activate_model_v1", {"model_name": "m", "min_coverage": None}, "22023"),
        ("drop_model_v1", {"model_name": None}, "22023"),
        ("put_bucket_v1", {"bucket_name": None}, "22023"),
        ("record_images_v1", {"images": None}, "22023"),
        ("record_images_v1", {"images": [item("a.jpg")], "lease_s": None}, "22023"),
        ("record_images_v2", {"images": None}, "22023"),
        ("record_images_v2", {"images": [item("a.jpg")], "lease_s": None}, "22023"),
        ("record_images_v3", {"images": None}, "22023"),
        ("record_images_v3", {"images": [item("a.jpg")], "provider": None}, "22023"),
        ("record_images_v3", {**_OF_S3, "lease_s": None}, "22023"),
        ("release_images_v1", {"images": None}, "22023"),
        ("take_permits_v1", {"lane": None, "permit_count": 1, "max_wait_s": 1}, "22023"),
        ("take_permits_v1", {"lane": "search", "permit_count": None, "max_wait_s": 1}, "22023"),
        ("take_permits_v1", {"lane": "search", "permit_count": 1, "max_wait_s": None}, "22023"),
        ("count_calls_v1", {"lane": None, "made": 1}, "22023"),
        ("count_calls_v1", {"lane": "search", "made": None}, "22023"),
        ("count_calls_v1", {"lane": "search", "saved": None}, "22023"),
        ("limit_spending_v1", {"limits": None}, "22023"),
        ("store_vectors_v1", {"vectors": None}, "22023"),
        ("store_vectors_v2", {"vectors": None}, "22023"),
        ("remove_images_v1", {"objects": None}, "22023"),
        ("remove_images_v2", {"objects": None}, "22023"),
        ("remove_images_v2", {"objects": [item("a.jpg")], "provider": None}, "22023"),
        ("list_objects_v1", {"bucket_name": "photos", "page_size": None}, "22023"),
        ("list_images_v1", {"bucket_name": "photos", "page_size": None}, "22023"),
        ("orphan_previews_v1", {"bucket_name": "photos", "preview_names": None}, "22023"),
        ("failed_images_v2", {"match_count": None}, "22023"),
        ("claim_images_v1", {"n": None}, "22023"),
        ("claim_images_v1", {"lease_s": None}, "22023"),
        ("claim_images_v2", {"n": None}, "22023"),
        ("claim_images_v2", {"lease_s": None}, "22023"),
        ("claim_images_v2", {"provider": None}, "22023"),
        ("return_images_v1", {"image_ids": None}, "22023"),
        ("aim_at_model_v1", {"model_name": None, "model_dimensions": 512}, "22023"),
        ("aim_at_model_v1", {"model_name": "n", "model_dimensions": None}, "22023"),
        ("cursor_model_v1", {"page_cursor": None}, "22023"),
        ("count_asked_v1", {"asked": None}, "22023"),
        ("asked_most_v1", {"model_name": "g", "match_count": None}, "22023"),
        ("remember_query_v1", {"query_text": None, "query_embedding": _UNIT}, "22023"),
        ("remember_query_v1", {"query_text": "x", "query_embedding": None}, "22023"),
        ("search_images_v1", {"query_embedding": _UNIT, "match_count": None}, "22023"),
        ("search_images_v2", {"query": None}, "22023"),
        ("search_images_v2", {"query": [{"text": "a dog"}], "match_count": None}, "22023"),
        ("image_v1", {"image_id": None}, "22023"),
        ("image_v1", {"bucket_name": "photos", "image_name": None}, "22023"),
        ("count_request_v1", {"caller": None, "per_minute": 1}, "22023"),
        ("count_request_v1", {"caller": "a", "per_minute": None}, "22023"),
        ("begin_audit_v1", {"bucket_name": None, "repairs": True}, "22023"),
        ("begin_audit_v1", {"bucket_name": "photos", "repairs": None}, "22023"),
        ("begin_audit_v1", {"bucket_name": "photos", "repairs": True, "lease_s": None}, "22023"),
        ("keep_audit_v1", {"audit_id": None, "progress": {}}, "22023"),
        ("keep_audit_v1", {"audit_id": 1, "progress": None}, "22023"),
        ("keep_audit_v1", {"audit_id": 1, "progress": "{}", "removals": None}, "22023"),
        ("pause_audit_v1", {"audit_id": None}, "22023"),
        ("end_audit_v1", {"audit_id": None, "state": "done"}, "22023"),
        ("audit_removals_v1", {"audit_id": None}, "22023"),
        ("count_audit_removals_v1", {"audit_id": None}, "22023"),
        ("latest_audits_v1", {"match_count": None}, "22023"),
        ("audit_images_v1", {"bucket_name": None}, "22023"),
        ("audit_images_v1", {"bucket_name": "photos", "page_size": None}, "22023"),
        ("queue_images_v1", {"bucket_name": None, "object_names": ["a.jpg"]}, "22023"),
        ("queue_images_v1", {"bucket_name": "photos", "object_names": None}, "22023"),
        ("register_images_v1", {"objects": None}, "22023"),
        ("register_images_v1", {"objects": [_SWEPT], "provider": None}, "22023"),
        ("check_previews_v1", {"bucket_name": None, **_NO_PREVIEWS}, "22023"),
        ("check_previews_v1", {"bucket_name": "photos", **_NO_PREVIEWS, "preview_names": None}, "22023"),
        ("lose_previews_v1", {"bucket_name": None, "object_names": ["a.jpg"]}, "22023"),
        ("lose_previews_v1", {"bucket_name": "photos", "object_names": None}, "22023"),
        ("recall_sample_v1", {"sample_size": None}, "22023"),
        ("recall_of_v1", {"kind": None, "id": 1}, "22023"),
        ("recall_of_v1", {"kind": "image", "id": None}, "22023"),
        ("recall_of_v1", {"kind": "image", "id": 1, "k": None}, "22023"),
        ("keep_recall_v1", {**_RECALL, "questions": None}, "22023"),
        ("keep_recall_v1", {**_RECALL, "recall": None}, "22023"),
        ("keep_recall_v1", {**_RECALL, "short_share": None}, "22023"),
        ("keep_recall_v1", {**_RECALL, "floor": None}, "22023"),
        ("recalls_v1", {"match_count": None}, "22023"),
        ("daily_calls_v1", {"days": None}, "22023"),
        ("images_to_forget_v1", {"owner_id": None}, "22023"),
        ("images_to_forget_v1", {"bucket_name": "photos", "image_name": None}, "22023"),
        ("images_to_forget_v1", {"owner_id": "alice", "match_count": None}, "22023"),
        ("forget_images_v1", {"image_ids": None}, "22023"),
        ("scrub_tombstones_v1", {"older_than_days": None}, "22023"),
        ("scrub_tombstones_v1", {"match_count": None}, "22023"),
        ("match_images", {"query_embedding": None, "match_threshold": 0, "match_count": 1}, "22023"),
        ("match_images", {"query_embedding": _UNIT, "match_threshold": None, "match_count": 1}, "22023"),
        ("match_images", {"query_embedding": _UNIT, "match_threshold": 0, "match_count": None}, "22023"),
    ],
)
def test_null_where_a_value_is_needed_is_refused(
    function: str, arguments: Row, code: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, **arguments)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert refusal.hint


def test_a_bucket_of_unknown_visibility_is_private(service: Session) -> None:
    call(service, "put_bucket_v1", bucket_name="b", is_public=None)

    [bucket] = call(service, "list_buckets_v1")
    assert (bucket["name"], bucket["is_public"]) == ("b", False)


@pytest.mark.parametrize(
    ("function", "arguments", "code", "message"),
    [
        ("create_model_v1", {"model_name": "n", "model_dimensions": 500}, "22023", "500"),
        ("create_model_v1", {"model_name": "n", "model_dimensions": 0}, "22023", "0"),
        ("create_model_v1", {"model_name": "", "model_dimensions": 512}, "22023", "name"),
        (
            "create_model_v1",
            {"model_name": "n", "model_dimensions": 512, "model_similarity_floor": 2},
            "22023",
            "2",
        ),
        ("create_model_v1", {"model_name": "g", "model_dimensions": 384}, "22023", "g has 512"),
        ("activate_model_v1", {"model_name": "m", "min_coverage": 1.5}, "22023", "from 0 to 1"),
        ("drop_model_v1", {"model_name": "g"}, "55000", "g is active"),
        ("put_bucket_v1", {"bucket_name": ""}, "22023", "needs a name"),
        ("put_bucket_v1", {"bucket_name": "b", "provider": "ftp"}, "22023", "ftp"),
        ("put_bucket_v1", {"bucket_name": "b", "owner_rule": "me"}, "22023", "me"),
        ("put_bucket_v1", {"bucket_name": "b", "owner_rule": "metadata"}, "22023", "metadata"),
        ("put_bucket_v1", {"bucket_name": "b", "owner_metadata_key": "by"}, "22023", "by"),
        ("configure_guide_v1", {"model_name": "m"}, "22023", "m has 384"),
        ("configure_guide_v1", {"bucket_name": ""}, "22023", "bucket"),
        ("record_images_v1", {"images": [item("a.jpg")], "lease_s": 0}, "22023", "not 0"),
        ("record_images_v2", {"images": [item("a.jpg")], "lease_s": 0}, "22023", "not 0"),
        ("record_images_v2", {"images": [item("a.jpg")], "permit_wait_s": -1}, "22023", "not -1"),
        ("record_images_v2", {"images": [item("a.jpg")], "permit_wait_s": 3601}, "22023", "not 3601"),
        ("record_images_v2", {"images": [item("a.jpg")], "permit_wait_s": "NaN"}, "22023", "not NaN"),
        ("record_images_v3", {"images": [item("a.jpg")], "provider": "ftp"}, "22023", "provider: ftp"),
        ("record_images_v3", {"images": [item("a.jpg")], "provider": ""}, "22023", "unknown provider"),
        ("record_images_v3", {**_OF_S3, "lease_s": 0}, "22023", "not 0"),
        ("record_images_v3", {**_OF_S3, "permit_wait_s": -1}, "22023", "not -1"),
        ("record_images_v3", {**_OF_S3, "permit_wait_s": 3601}, "22023", "not 3601"),
        ("record_images_v3", {**_OF_S3, "permit_wait_s": "NaN"}, "22023", "not NaN"),
        ("remove_images_v2", {"objects": [item("a.jpg")], "provider": "S3"}, "22023", "provider: S3"),
        ("list_objects_v1", {"bucket_name": "photos", "page_size": 0}, "22023", "not 0"),
        ("list_objects_v1", {"bucket_name": "photos", "page_size": 1001}, "22023", "not 1001"),
        ("list_images_v1", {"bucket_name": "photos", "page_size": -1}, "22023", "not -1"),
        ("list_images_v1", {"bucket_name": "photos", "page_size": 1001}, "22023", "not 1001"),
        ("orphan_previews_v1", {"bucket_name": "photos", "preview_names": ["x"] * 1001}, "22023", "not 1001"),
        ("failed_images_v2", {"match_count": 0}, "22023", "not 0"),
        ("failed_images_v2", {"match_count": 1001}, "22023", "not 1001"),
        ("take_permits_v1", {"lane": "admin", "permit_count": 1, "max_wait_s": 1}, "22023", "admin"),
        ("take_permits_v1", {"lane": "search", "permit_count": 0, "max_wait_s": 1}, "22023", "0, 1"),
        ("take_permits_v1", {"lane": "search", "permit_count": -1, "max_wait_s": 1}, "22023", "-1, 1"),
        ("take_permits_v1", {"lane": "search", "permit_count": 501, "max_wait_s": 1}, "22023", "501, 1"),
        (
            "take_permits_v1",
            {"lane": "search", "permit_count": 1, "max_wait_s": 1, "unused_count": -1},
            "22023",
            "fewer than none: -1",
        ),
        ("take_permits_v1", {"lane": "search", "permit_count": 1, "max_wait_s": -1}, "22023", "1, -1"),
        ("take_permits_v1", {"lane": "search", "permit_count": 1, "max_wait_s": 3601}, "22023", "1, 3601"),
        ("take_permits_v1", {"lane": "search", "permit_count": 1, "max_wait_s": "NaN"}, "22023", "1, NaN"),
        ("count_calls_v1", {"lane": "Search", "made": 1}, "22023", "Search"),
        ("count_calls_v1", {"lane": "search", "made": -1}, "22023", "fewer than none"),
        ("count_calls_v1", {"lane": "search", "made": 1, "saved": -1}, "22023", "fewer than none"),
        ("count_request_v1", {"caller": "", "per_minute": 1}, "22023", "not a caller"),
        ("count_request_v1", {"caller": "a", "per_minute": 0}, "22023", "a minute: 0"),
        ("count_request_v1", {"caller": "a", "per_minute": -1}, "22023", "a minute: -1"),
        ("count_request_v1", {"caller": "a", "per_minute": 1_000_001}, "22023", "a minute: 1000001"),
        ("image_v1", {"image_id": 0}, "PT404", "unknown image: 0"),
        ("image_v1", {"image_id": -1}, "PT404", "unknown image: -1"),
        ("image_v1", {"bucket_name": "", "image_name": ""}, "PT404", "unknown image: "),
        ("claim_images_v1", {"n": 0}, "22023", "not 0"),
        ("claim_images_v1", {"n": 501}, "22023", "not 501"),
        ("claim_images_v1", {"lease_s": -1}, "22023", "not -1"),
        ("claim_images_v1", {"lease_s": 86401}, "22023", "not 86401"),
        ("claim_images_v2", {"n": 0}, "22023", "not 0"),
        ("claim_images_v2", {"n": 501}, "22023", "not 501"),
        ("claim_images_v2", {"lease_s": -1}, "22023", "not -1"),
        ("claim_images_v2", {"provider": "ftp"}, "22023", "provider: ftp"),
        ("return_images_v1", {"image_ids": [1] * 1001}, "22023", "not 1001"),
        ("aim_at_model_v1", {"model_name": "n", "model_dimensions": 500}, "22023", "500"),
        ("aim_at_model_v1", {"model_name": "", "model_dimensions": 512}, "22023", "name"),
        ("aim_at_model_v1", {"model_name": "g", "model_dimensions": 384}, "22023", "g has 512"),
        ("asked_most_v1", {"model_name": "g", "match_count": 0}, "22023", "not 0"),
        ("asked_most_v1", {"model_name": "g", "match_count": 1001}, "22023", "not 1001"),
        ("remember_query_v1", {"query_text": " ", "query_embedding": _UNIT}, "22023", "empty"),
        ("remember_query_v1", {"query_text": "\n\u3000", "query_embedding": _UNIT}, "22023", "empty"),
        (
            "match_images",
            {"query_embedding": _UNIT, "match_threshold": 0, "match_count": 1001},
            "22023",
            "not 1001",
        ),
        ("block_images_v1", {"image_ids": [1], "reason": ""}, "22023", "reason"),
        ("begin_audit_v1", {"bucket_name": "", "repairs": True}, "22023", "needs a name"),
        ("begin_audit_v1", {"bucket_name": "b", "repairs": True, "lease_s": 0}, "22023", "not 0"),
        ("begin_audit_v1", {"bucket_name": "b", "repairs": True, "lease_s": 86401}, "22023", "not 86401"),
        ("keep_audit_v1", {"audit_id": 7, "progress": {"objects": 1}}, "22023", "unknown audit: 7"),
        ("keep_audit_v1", {"audit_id": 7, "progress": {"stage": "x"}}, "22023", "unknown stage: x"),
        ("keep_audit_v1", {"audit_id": 7, "progress": "{}", "lease_s": -1}, "22023", "not -1"),
        ("keep_audit_v1", {"audit_id": 7, "progress": "{}", "removals": "[{}]"}, "22023", "removal 1"),
        ("pause_audit_v1", {"audit_id": 7}, "22023", "unknown audit: 7"),
        ("end_audit_v1", {"audit_id": 7, "state": "done"}, "22023", "unknown audit: 7"),
        ("audit_removals_v1", {"audit_id": 7}, "22023", "unknown audit: 7"),
        ("count_audit_removals_v1", {"audit_id": 7}, "22023", "unknown audit: 7"),
        ("latest_audits_v1", {"match_count": 0}, "22023", "not 0"),
        ("audit_images_v1", {"bucket_name": ""}, "22023", "needs a name"),
        ("audit_images_v1", {"bucket_name": "photos", "page_size": 1001}, "22023", "not 1001"),
        ("queue_images_v1", {"bucket_name": "b", "object_names": ["x"] * 1001}, "22023", "not 1001"),
        ("register_images_v1", {"objects": [_SWEPT], "provider": "ftp"}, "22023", "provider: ftp"),
        (
            "check_previews_v1",
            {"bucket_name": "b", **_NO_PREVIEWS, "preview_names": ["x"] * 1001},
            "22023",
            "not 1001",
        ),
        ("lose_previews_v1", {"bucket_name": "b", "object_names": ["x"] * 1001}, "22023", "not 1001"),
        ("recall_sample_v1", {"sample_size": 0}, "22023", "not 0"),
        ("recall_sample_v1", {"sample_size": 1001}, "22023", "not 1001"),
        ("recall_of_v1", {"kind": "text", "id": 1}, "22023", "question: text"),
        ("recall_of_v1", {"kind": "image", "id": 1, "k": 0}, "22023", "not 0"),
        ("keep_recall_v1", {**_RECALL, "questions": 0}, "22023", "of 0 questions"),
        ("keep_recall_v1", {**_RECALL, "recall": 1.5}, "22023", "not a recall: 1.5"),
        ("keep_recall_v1", {**_RECALL, "recall": "NaN"}, "22023", "not a recall: NaN"),
        ("keep_recall_v1", {**_RECALL, "short_share": -1}, "22023", "-1 of them short"),
        ("recalls_v1", {"match_count": 1001}, "22023", "not 1001"),
        ("daily_calls_v1", {"days": 0}, "22023", "not 0"),
        ("images_to_forget_v1", {"owner_id": ""}, "22023", "by its owner"),
        ("images_to_forget_v1", {"owner_id": "a", "bucket_name": "b"}, "22023", "by its owner"),
        ("images_to_forget_v1", {"owner_id": "a", "match_count": 1001}, "22023", "not 1001"),
        ("forget_images_v1", {"image_ids": [1] * 1001}, "22023", "not 1001"),
        ("scrub_tombstones_v1", {"older_than_days": -1}, "22023", "not -1"),
        ("scrub_tombstones_v1", {"match_count": 0}, "22023", "not 0"),
    ],
)
def test_a_value_out_of_range_is_refused(
    function: str, arguments: Row, code: str, message: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, **arguments)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("activate_model_v1", {"model_name": "n"}),
        ("drop_model_v1", {"model_name": "n"}),
        ("model_coverage_v1", {"model_name": "n"}),
        ("model_gaps_v1", {"model_name": "n", "match_count": 1}),
        ("configure_guide_v1", {"model_name": "n"}),
        ("record_images_v1", {"images": [item("a.jpg")], "model_name": "n"}),
        ("record_images_v2", {"images": [item("a.jpg")], "model_name": "n"}),
        ("record_images_v3", {"images": [item("a.jpg")], "model_name": "n"}),
        ("release_images_v1", {"images": [as_recorded(_PENDING)], "model_name": "n"}),
        ("store_vectors_v1", {"vectors": [result(_PENDING, _UNIT)], "model_name": "n"}),
        ("store_vectors_v2", {"vectors": [result(_PENDING, _UNIT)], "model_name": "n"}),
        ("claim_images_v1", {"model": "n"}),
        ("claim_images_v2", {"model": "n"}),
        ("return_images_v1", {"image_ids": [1], "model_name": "n"}),
        ("reembed_estimate_v1", {"model_name": "n"}),
        ("asked_most_v1", {"model_name": "n", "match_count": 1}),
        ("requeue_images_v1", {"model_name": "n"}),
        ("remember_query_v1", {"query_text": "x", "query_embedding": _UNIT, "model_name": "n"}),
        ("search_images_v1", {"query_embedding": _UNIT, "model_name": "n"}),
        ("search_images_v2", {"query": [{"text": "a dog"}], "model_name": "n"}),
        ("model_state_v1", {"model_name": "n"}),
    ],
)
def test_an_unknown_model_is_named(function: str, arguments: Row, prepared: _Prepared) -> None:
    refusal = prepared.refused_call(function, **arguments)

    assert (refusal.code, refusal.message, refusal.is_nothing_written) == ("42704", "unknown model: n", True)
    assert refusal.hint


# What takes many items, and the name of that argument.
_BATCHES = [
    ("record_images_v1", "images"),
    ("record_images_v2", "images"),
    ("record_images_v3", "images"),
    ("release_images_v1", "images"),
    ("store_vectors_v1", "vectors"),
    ("store_vectors_v2", "vectors"),
    ("remove_images_v1", "objects"),
    ("remove_images_v2", "objects"),
    ("register_images_v1", "objects"),
]
# Whose items have an ordering key; they are refused whatever storage says of the objects.
_OF_OBJECTS = [
    "record_images_v1",
    "record_images_v2",
    "record_images_v3",
    "remove_images_v1",
    "remove_images_v2",
]


def _crowd(size: int) -> str:
    return json.dumps([{**item(f"{number}.jpg"), "reason": "no picture"} for number in range(size)])


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("{}", "JSON array of items, not object"),
        ('"a.jpg"', "JSON array of items, not string"),
        ("7", "JSON array of items, not number"),
        ("null", "JSON array of items, not null"),
        ("[]", "0 "),
        pytest.param(_crowd(501), "501 ", id="501"),
        pytest.param(_crowd(10_000), "10000 ", id="10000"),
        ("[1, 2]", "1 of the call"),
        ('["a.jpg"]', "1 of the call"),
        ("[null]", "1 of the call"),
        ("[[]]", "1 of the call"),
        ("[{}]", "1 of the call"),
    ],
)
@pytest.mark.parametrize(("function", "argument"), _BATCHES)
def test_what_is_no_list_of_1_to_500_objects_is_refused(
    function: str, argument: str, items: str, message: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, **{argument: items})

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("record", "store", "remove", "provider"),
    [
        ("record_images_v1", "store_vectors_v1", "remove_images_v1", {}),
        ("record_images_v3", "store_vectors_v2", "remove_images_v2", {"provider": "s3"}),
    ],
)
def test_500_images_in_one_call_are_taken(
    record: str, store: str, remove: str, provider: Row, service: Session
) -> None:
    images = [item(f"{number}.jpg") for number in range(500)]

    recorded = call(service, record, images=images, **provider)

    stored = call(service, store, vectors=[result(image, vector(1)) for image in images])
    removals = [{**image, "ordering_key": "2"} for image in images]
    removed = call(service, remove, objects=removals, **provider)
    assert {row["standing"] for row in recorded} == {"pending"}
    assert {row["standing"] for row in stored} == {"indexed"}
    assert [row["standing"] for row in removed] == ["deleted"] * 500


@pytest.mark.parametrize("function", _OF_OBJECTS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "x" * 2000}, "2000 bytes"),
        ({"name": "图" * 342}, "1026 bytes"),
        ({"name": ""}, "no name"),
        ({"name": None}, "no name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": ["a.jpg"]}, "name"),
        ({"bucket": ""}, "no bucket"),
        ({"bucket": None}, "no bucket"),
        ({"bucket": {}}, "bucket"),
        ({"ordering_key": None}, "no ordering_key"),
        ({"ordering_key": {}}, "ordering_key"),
        ({"content_hash": "abc"}, "content_hash"),
        ({"contenthash": "a" * 64}, "contenthash is no field"),
        ({"content_hash": "F" * 64}, "content_hash"),
        ({"size_bytes": -1}, "size"),
        ({"size_bytes": "abc"}, "size_bytes is no number"),
        ({"size_bytes": 1e30}, "out of range"),
        ({"width": 0}, "size"),
        ({"width": 1e99}, "out of range"),
        ({"height": [1]}, "height is no number"),
        ({"taken_at": "some day"}, "some day"),
        ({"created_at": 7}, "created_at is no string"),
        ({"reason": ""}, "reason"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_wrong_image_among_good_ones_is_named_and_refuses_all(
    wrong: Row, message: str, function: str, prepared: _Prepared
) -> None:
    images = [item("a.jpg"), {**item("b.jpg"), **wrong}, {**_INDEXED, "ordering_key": "2"}]
    argument = dict(_BATCHES)[function]

    refusal = prepared.refused_call(function, **{argument: images})

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert "image 2 of the call" in refusal.message
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bucket": None}, "a bucket"),
        ({"name": None}, "a name"),
        ({"content_hash": None}, "a content_hash"),
        ({"bucket": 7}, "bucket is no string"),
        ({"name": ["a.jpg"]}, "name is no string"),
        ({"contenthash": "a" * 64}, "contenthash is no field"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_wrong_image_among_good_ones_is_named_and_none_is_released(
    wrong: Row, message: str, prepared: _Prepared
) -> None:
    good = as_recorded(_PENDING)

    refusal = prepared.refused_call("release_images_v1", images=[good, {**good, **wrong}])

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert "image 2 of the call" in refusal.message
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("function", "wrong", "message"),
    [
        ("record_images_v3", {"etag": 7}, "etag is no string"),
        ("record_images_v3", {"is_of_sweep": "yes"}, "is_of_sweep is no boolean"),
        ("record_images_v3", {"average_colour": "red"}, "no colour like"),
        ("record_images_v3", {"average_colour": "#C0FFEE"}, "no colour like"),
        ("record_images_v3", {"average_colour": "#c0ffee\n"}, "no colour like"),
        ("record_images_v3", {"average_colour": {}}, "no colour like"),
        ("record_images_v3", {"preview": "1/1.webp"}, "preview is no field"),
        ("remove_images_v2", {"is_of_sweep": 1}, "is_of_sweep is no boolean"),
        ("remove_images_v2", {"etag": "e"}, "etag is no field"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_wrong_word_of_the_followers_is_named_and_refuses_all(
    function: str, wrong: Row, message: str, prepared: _Prepared
) -> None:
    images = [item("a.jpg"), {**item("b.jpg"), **wrong}, {**_INDEXED, "ordering_key": "2"}]

    refusal = prepared.refused_call(function, **{dict(_BATCHES)[function]: images}, provider="s3")

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert "image 2 of the call" in refusal.message
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        ("[]", "the limits"),
        ("7", "the limits"),
        ('"calls_per_s"', "the limits"),
        ("null", "the limits"),
        ('{"calls": 1}', "calls"),
        ('{"is_only_row": false}', "is_only_row"),
        ('{"calls_per_s": 0}', "calls_per_s"),
        ('{"calls_per_s": -1}', "calls_per_s"),
        ('{"calls_per_s": 10001}', "calls_per_s"),
        ('{"calls_per_s": "20"}', "calls_per_s"),
        ('{"calls_per_s": true}', "calls_per_s"),
        ('{"calls_per_s": [20]}', "calls_per_s"),
        ('{"calls_per_s": {}}', "calls_per_s"),
        ('{"search_calls_per_day": -1}', "search_calls_per_day"),
        ('{"search_calls_per_day": 1.5}', "search_calls_per_day"),
        ('{"search_calls_per_day": 1e300}', "search_calls_per_day"),
        ('{"search_calls_per_day": "many"}', "search_calls_per_day"),
        ('{"indexing_calls_per_day": -1}', "indexing_calls_per_day"),
        ('{"indexing_calls_per_day": false}', "indexing_calls_per_day"),
        (
            '{"calls_per_s": 5, "search_calls_per_day": 5, "indexing_calls_per_day": -5}',
            "indexing_calls_per_day",
        ),
        ('{"calls_per_s": 5, "search_calls_per_dy": 5}', "search_calls_per_dy"),
    ],
)
def test_what_is_no_limit_is_named_and_refuses_all(limits: str, wrong: str, prepared: _Prepared) -> None:
    refusal = prepared.refused_call("limit_spending_v1", limits=limits)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert refusal.message == f"not a limit of spending: {wrong}"
    assert refusal.hint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bucket": None}, "bucket"),
        ({"name": None}, "name"),
        ({"content_hash": None}, "content_hash"),
        ({"embedding": None}, "embedding"),
        ({"reason": "no picture"}, "embedding or a reason"),
        ({"embedding": None, "reason": ""}, "reason"),
        ({"may_retry": "perhaps"}, "may_retry is no boolean"),
        ({"embedding": [1, 2, 3]}, "3 dimensions; model g needs 512"),
        ({"embedding": []}, "no list of finite numbers"),
        ({"embedding": [0] * _LENGTH}, "points nowhere"),
        ({"embedding": [1e-60] * _LENGTH}, "points nowhere"),
        ({"embedding": ["NaN"] * _LENGTH}, "no list of finite numbers"),
        ({"embedding": ["Infinity"] * _LENGTH}, "no list of finite numbers"),
        ({"embedding": [None] * _LENGTH}, "no list of finite numbers"),
        ({"embedding": [1e60] * _LENGTH}, "no list of finite numbers"),
        ({"embedding": "abc"}, "embedding is no array"),
        ({"embedding": 7}, "embedding is no array"),
        ({"embedding": {"x": 1}}, "embedding is no array"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("function", ["store_vectors_v1", "store_vectors_v2"])
def test_one_wrong_vector_among_good_ones_is_named_and_refuses_all(
    function: str, wrong: Row, message: str, prepared: _Prepared
) -> None:
    good = result(_PENDING, _UNIT)

    refusal = prepared.refused_call(function, vectors=[good, {**good, **wrong}])

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert "vector 2 of the call" in refusal.message
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preview": 7}, "preview is no string"),
        ({"preview": None}, "an embedding, a reason or a preview"),
        ({"name": 7}, "has no name"),
        ({"content_hash": None}, "content_hash"),
        ({"may_retry": "perhaps"}, "may_retry is no boolean"),
        ({"colour": "red"}, "colour is no field"),
        ({"reason": "", "preview": "1/1.webp"}, "reason"),
        ({"embedding": [1, 2, 3]}, "3 dimensions; model g needs 512"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_wrong_preview_among_good_ones_is_named_and_refuses_all(
    wrong: Row, message: str, prepared: _Prepared
) -> None:
    good = {**as_recorded(_PENDING), "preview": "1/1.webp"}
    late = result(item("late.jpg"), _UNIT)

    refusal = prepared.refused_call("store_vectors_v2", vectors=[good, late, {**good, **wrong}])

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert "vector 3 of the call" in refusal.message
    assert message in refusal.message
    assert refusal.hint


def test_a_late_vector_of_what_is_no_hash_is_not_spared(prepared: _Prepared) -> None:
    late = {**result(item("late.jpg"), _UNIT), "content_hash": "x" * 100_000}

    with prepared.service.transaction(force_rollback=True):
        before = _content(prepared.service)
        stored = call(prepared.service, "store_vectors_v2", vectors=[late])
        after = _content(prepared.service)

    assert ([row["standing"] for row in stored], after == before) == (["outdated"], True)


@pytest.mark.parametrize("function", ["store_vectors_v1", "store_vectors_v2"])
def test_an_error_does_not_repeat_the_vector(function: str, prepared: _Prepared) -> None:
    broken = {**result(_PENDING, _UNIT), "embedding": [0.125, *["NaN"] * (_LENGTH - 1)]}

    refusal = prepared.refused_call(function, vectors=[broken])

    assert "0.125" not in refusal.message


_ZERO = vector(dimensions=_LENGTH)
_SUBNORMAL = vector(1e-60, dimensions=_LENGTH)


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (vector(1, dimensions=511), "511 dimensions; model g needs 512"),
        (vector(1, dimensions=DIMENSIONS), "384 dimensions; model g needs 512"),
        (_ZERO, "points nowhere"),
        (_SUBNORMAL, "points nowhere"),
    ],
    ids=["short", "of another model", "zero", "1e-60"],
)
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("search_images_v1", {}),
        ("remember_query_v1", {"query_text": "a cat"}),
        ("match_images", {"match_threshold": 0, "match_count": 1}),
    ],
)
def test_a_vector_that_is_not_of_the_models_space_is_refused(
    function: str, arguments: Row, embedding: str, message: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, query_embedding=embedding, **arguments)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("image", "embedding", "message"),
    [
        ("a.jpg", vector(1, dimensions=511), "511 dimensions; model g needs 512"),
        ("a.jpg", _ZERO, "points nowhere"),
        ("a.jpg", _SUBNORMAL, "points nowhere"),
        ("a.jpg", None, "model g needs 512"),
        (None, _UNIT, "1 to 1024 bytes"),
        ("", _UNIT, "1 to 1024 bytes"),
        ("x" * 2000, _UNIT, "1 to 1024 bytes"),
    ],
    ids=["short", "zero", "1e-60", "no vector", "no name", "empty name", "long name"],
)
def test_a_wrong_row_of_the_guides_client_is_refused(
    image: str | None, embedding: str | None, message: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_insert(image, embedding)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize("length", [1e-40, 3e38])
def test_the_length_of_a_vector_does_not_count(length: float, service: Session) -> None:
    index(service, item("a.jpg"), vector(length, length))

    [hit] = search(service, vector(0, length))["hits"]

    assert hit["similarity"] == pytest.approx(0.5**0.5, abs=1e-3)


# The words of the types themselves: no function is reached that could add a hint.
_NO_VECTORS = [
    ("[" + ",".join(["NaN"] * _LENGTH) + "]", "22000"),
    ("[" + ",".join(["Infinity"] * _LENGTH) + "]", "22000"),
    (vector(1e60, dimensions=_LENGTH), "22003"),
    ("[]", "22000"),
    ("abc", "22P02"),
    ("", "22P02"),
]


@pytest.mark.parametrize(
    ("embedding", "code"), _NO_VECTORS, ids=["NaN", "infinite", "1e60", "[]", "abc", "empty"]
)
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("search_images_v1", {}),
        ("remember_query_v1", {"query_text": "a cat"}),
        ("match_images", {"match_threshold": 0, "match_count": 1}),
    ],
)
def test_what_is_no_vector_reaches_no_function(
    function: str, arguments: Row, embedding: str, code: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, query_embedding=embedding, **arguments)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert refusal.message


@pytest.mark.parametrize(
    ("embedding", "code"),
    _NO_VECTORS,
    ids=["NaN", "infinite", "1e60", "[]", "abc", "empty"],
)
def test_what_is_no_vector_of_512_is_no_row_of_the_guides(
    embedding: str, code: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_insert("a.jpg", embedding)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert refusal.message


@pytest.mark.parametrize(
    ("items", "code"),
    [
        ("[{", "22P02"),
        ("", "22P02"),
        ('[{"name": "\\ud800"}]', "22P02"),
        ('[{"name": "a\\u0000b"}]', "22P05"),
    ],
    ids=["cut off", "empty", "half a character", "a zero byte"],
)
@pytest.mark.parametrize(("function", "argument"), [*_BATCHES, ("search_images_v2", "query")])
def test_what_is_no_json_reaches_no_function(
    function: str, argument: str, items: str, code: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, **{argument: items})

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert refusal.message


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"match_count": 0}, "22023", "not 0"),
        ({"match_count": 1001}, "22023", "not 1001"),
        ({"match_count": -1}, "22023", "not -1"),
        ({"filters": []}, "22023", "not array"),
        ({"filters": "bucket"}, "22023", "not string"),
        ({"filters": 7}, "22023", "not number"),
        ({"filters": None}, "22023", "not null"),
        ({"filters": {"colour": "red"}}, "22023", "unknown filter: colour"),
        ({"filters": {"Bucket": "photos"}}, "22023", "unknown filter: Bucket"),
        ({"filters": {"true) or (true": "x"}}, "22023", "unknown filter"),
        ({"filters": {"bucket": 7}}, "22023", "bucket must be a string, not number"),
        ({"filters": {"bucket": None}}, "22023", "bucket must be a string, not null"),
        ({"filters": {"prefix": ["a"]}}, "22023", "prefix must be a string, not array"),
        ({"filters": {"content_type": {}}}, "22023", "content_type must be a string, not object"),
        ({"filters": {"taken_since": 2026}}, "22023", "taken_since must be a string, not number"),
        ({"filters": {"bucket": "nowhere"}}, "22023", "unknown bucket: nowhere"),
        ({"filters": {"created_since": "soon"}}, "22023", "created_since is no time: soon"),
        ({"filters": {"created_until": "2026-13-45"}}, "22023", "created_until is no time"),
        ({"filters": {"taken_until": ""}}, "22023", "taken_until is no time"),
        ({"filters": {"taken_since": "999999-01-01"}}, "22023", "taken_since is no time"),
        ({"filters": {"since": "soon"}}, "22023", "since is no time: soon"),
        ({"filters": {"until": "999999-01-01"}}, "22023", "until is no time"),
        ({"filters": {"until": 7}}, "22023", "until must be a string, not number"),
    ],
)
@pytest.mark.parametrize(("function", "query"), _SEARCHES)
def test_a_wrong_count_or_filter_is_refused(
    function: str, query: Row, arguments: Row, code: str, message: str, prepared: _Prepared
) -> None:
    filters = {"filters": Jsonb(arguments["filters"])} if "filters" in arguments else arguments

    refusal = prepared.refused_call(function, **query, **filters)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({}, "22023", "one of"),
        ({"query_embedding": _UNIT, "query_text": "a dog"}, "22023", "one of"),
        ({"query_embedding": _UNIT, "query_image_id": 1}, "22023", "one of"),
        ({"query_embedding": _UNIT, "query_text": "a dog", "query_image_id": 1}, "22023", "one of"),
        ({"query_text": ""}, "22023", "empty"),
        ({"query_text": "  "}, "22023", "empty"),
        ({"query_text": "\n\u3000"}, "22023", "empty"),
        ({"query_image_id": 0}, "PT404", "unknown image: 0"),
        ({"query_image_id": -1}, "PT404", "unknown image: -1"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_search_asks_with_exactly_one_thing(
    query: Row, code: str, message: str, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call("search_images_v1", **query)

    assert (refusal.code, refusal.is_nothing_written) == (code, True)
    assert message in refusal.message
    assert refusal.hint


@pytest.mark.parametrize("function", ["model_gaps_v1", "failed_images_v1"])
def test_a_negative_limit_is_refused(function: str, prepared: _Prepared) -> None:
    arguments = {"model_gaps_v1": {"model_name": "g"}, "failed_images_v1": {}}[function]

    refusal = prepared.refused_call(function, match_count=-1, **arguments)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert refusal.hint


@pytest.mark.parametrize("object_names", [None, ["x"] * 1001])
@pytest.mark.parametrize("function", ["image_states_v1", "stored_objects_v1"])
def test_more_names_than_an_answer_may_have_rows_are_refused(
    function: str, object_names: list[str] | None, prepared: _Prepared
) -> None:
    refusal = prepared.refused_call(function, bucket_name="photos", object_names=object_names)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert refusal.hint


_Change: TypeAlias = Callable[[str], str]


def _cursor(service: Session) -> str:
    cursor: str = search(service, _UNIT, match_count=1)["next_cursor"]
    return cursor


def _with(place: int, value: str) -> _Change:
    """Another value in one place: model, rank, distance, id, digest."""

    def change(cursor: str) -> str:
        parts = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        parts[place] = value
        return base64.urlsafe_b64encode(" ".join(parts).encode()).decode().rstrip("=")

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: " ", id="blank"),
        pytest.param(lambda _: "nonsense", id="random"),
        pytest.param(lambda _: "%%%'; drop table pixseek.images; --", id="SQL"),
        pytest.param(lambda _: "图" * 8, id="Chinese"),
        pytest.param(lambda _: "A" * 100_000, id="long"),
        pytest.param(lambda cursor: cursor[:10], id="cut to 10"),
        pytest.param(lambda cursor: cursor[:-1], id="cut by 1"),
        pytest.param(lambda cursor: cursor[:-4], id="cut by 4"),
        pytest.param(lambda cursor: cursor + "AAAA", id="longer"),
        pytest.param(lambda cursor: cursor * 2, id="doubled"),
        pytest.param(lambda cursor: cursor.swapcase(), id="case"),
        pytest.param(_with(0, "1"), id="another model"),
        pytest.param(_with(0, "99"), id="unknown model"),
        pytest.param(_with(0, "9" * 20), id="impossible model"),
        pytest.param(_with(1, "0"), id="rank"),
        pytest.param(_with(1, "2147483647"), id="greatest rank"),
        pytest.param(_with(2, "-2"), id="distance"),
        pytest.param(_with(2, "NaN"), id="no distance"),
        pytest.param(_with(3, "0"), id="image"),
        pytest.param(_with(4, ""), id="no digest"),
        pytest.param(_with(4, "0" * 32), id="digest"),
    ],
)
@pytest.mark.parametrize(("function", "query"), _SEARCHES)
def test_a_cursor_that_was_changed_is_refused(
    function: str, query: Row, change: _Change, prepared: _Prepared
) -> None:
    changed = change(_cursor(prepared.service))

    refusal = prepared.refused_call(function, **query, page_cursor=changed)

    assert (refusal.code, refusal.is_nothing_written) == ("22023", True)
    assert refusal.message
    assert refusal.hint


@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("rank", [2147483647, -2000])
def test_an_impossible_rank_is_refused_from_who_knows_how_cursors_are_made_too(
    rank: int, collapse: bool, prepared: _Prepared
) -> None:
    statement = """
    select pixseek.write_cursor(
      pixseek.ask(pixseek.model_named('g'), %s::extensions.vector, null, null, '{}', %s),
      row(%s, -1, 1)::pixseek.position)
    """
    [(forged,)] = prepared.service.execute(statement, (_UNIT, collapse, rank))

    refusal = prepared.refused_call(
        "search_images_v1", query_embedding=_UNIT, page_cursor=forged, collapse=collapse
    )

    assert refusal.code == "22023"
    assert refusal.hint


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"query_embedding": vector(2, 1, dimensions=_LENGTH)}, "another search"),
        ({"query_image_id": 1}, "another search"),
        ({"query_embedding": _UNIT, "filters": {"bucket": "photos"}}, "another search"),
        ({"query_embedding": _UNIT, "collapse": True}, "another search"),
        ({"query_embedding": vector(1), "model_name": "m"}, "another model"),
    ],
    ids=["query", "image", "filter", "collapsed", "model"],
)
def test_a_cursor_of_another_search_is_refused(other: Row, message: str, prepared: _Prepared) -> None:
    cursor = _cursor(prepared.service)

    refusal = prepared.refused_call("search_images_v1", page_cursor=cursor, **other)

    assert refusal.code == "22023"
    assert message in refusal.message
    assert refusal.hint


def test_a_cursor_of_a_dropped_model_is_refused(service: Session) -> None:
    _ = [index(service, item(name), vector(1)) for name in ("a.jpg", "b.jpg")]
    cursor = search(service, vector(1), match_count=1)["next_cursor"]
    call(service, "create_model_v1", model_name="n", model_dimensions=384)
    call(service, "activate_model_v1", model_name="n", min_coverage=0)
    call(service, "drop_model_v1", model_name="m")

    failure = error(lambda: search(service, vector(1), page_cursor=cursor))

    assert (failure.sqlstate, "another model" in str(failure)) == ("22023", True)
    assert failure.diag.message_hint


@pytest.mark.parametrize(
    ("name", "decoy"),
    [
        ("100%.jpg", "100 per cent.jpg"),
        ("a_b.jpg", "axb.jpg"),
        ("back\\slash.jpg", "backslash.jpg"),
        ("\\", "/"),
        ("""it's a "quote".jpg""", "its a quote.jpg"),
        ("'; drop table pixseek.images; --", "drop table pixseek.images"),
        ("two\nlines.jpg", "two lines.jpg"),
        ("\t\x01\x7f", "\t\x01\x7e"),
        ("图片/小狗.jpg", "图片/小猫.jpg"),
        ("🐕\u200d🦺.jpg", "🐕.jpg"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg"),
        ("{}", "[]"),
        ("$2 ->> 'bucket'", "$2"),
        ("a/../b.jpg", "b.jpg"),
        (" ", "_"),
        ("null", "NULL"),
        ("图" * 341 + "a", "图" * 341 + "b"),
    ],
    ids=lambda name: repr(name[:20]),
)
def test_any_name_of_up_to_1024_bytes_works_from_end_to_end(name: str, decoy: str, service: Session) -> None:
    _ = [index(service, item(other), vector(1)) for other in (name, decoy)]

    found = search(service, vector(1), filters={"prefix": name})

    [state] = call(service, "image_states_v1", bucket_name="photos", object_names=[name])
    [removed] = call(service, "remove_images_v1", objects=[item(name, "2")])
    assert names(found) == [name]
    assert (state["name"], state["state"]) == (name, "indexed")
    assert (removed["name"], removed["standing"]) == (name, "deleted")
    assert names(search(service, vector(1))) == [decoy]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("record_images_v1", {"images": [item("a.jpg"), item("b.jpg", "2"), item("c.jpg")]}),
        ("record_images_v2", {"images": [item("c.jpg"), item("b.jpg", "2")], "permit_wait_s": 5}),
        ("record_images_v3", {"images": [item("c.jpg"), item("b.jpg", "2")], "provider": "s3"}),
        ("release_images_v1", {"images": [as_recorded(item(name)) for name in ("a.jpg", "b.jpg")]}),
        ("return_images_v1", {"image_ids": [1, 2]}),
        ("remove_images_v1", {"objects": [item("a.jpg", "2"), item("b.jpg", "2"), item("c.jpg", "2")]}),
        (
            "store_vectors_v1",
            {"vectors": [result(item("a.jpg"), vector(1)), result(item("b.jpg"), vector(2))]},
        ),
        (
            "store_vectors_v2",
            {"vectors": [result(item("late.jpg"), vector(1)), result(item("b.jpg"), vector(2))]},
        ),
        ("remove_images_v2", {"objects": [item("c.jpg", "2"), item("b.jpg", "2")], "provider": "s3"}),
        ("register_images_v1", {"objects": [{**_SWEPT, "name": "b.jpg", "version": "2"}], "provider": "s3"}),
        ("queue_images_v1", {"bucket_name": "photos", "object_names": ["a.jpg", "b.jpg"]}),
        ("forget_images_v1", {"image_ids": [1, 2]}),
    ],
)
def test_a_call_that_runs_out_of_time_leaves_nothing_half_written(
    function: str, arguments: Row, database: Database, service: Session
) -> None:
    call(service, "record_images_v1", images=[item("a.jpg"), item("b.jpg")])
    owner = database.owner()
    owner.execute("begin")
    owner.execute("select from pixseek.images where name = 'b.jpg' for update")
    before = _content(owner)
    service.execute("set statement_timeout = '50ms'")

    failure = error(lambda: call(service, function, **arguments))

    owner.execute("rollback")
    assert (failure.sqlstate, _content(owner) == before) == ("57014", True)


def test_a_call_that_ran_out_of_time_may_be_repeated(database: Database, service: Session) -> None:
    index(service, item("b.jpg"), vector(1))
    owner = database.owner()
    owner.execute("begin")
    owner.execute("select from pixseek.images where name = 'b.jpg' for update")
    images = [item("a.jpg"), item("b.jpg", "2", content="new")]
    service.execute("set statement_timeout = '50ms'")
    error(lambda: call(service, "record_images_v1", images=images))
    owner.execute("rollback")
    service.execute("reset statement_timeout")

    recorded = call(service, "record_images_v1", images=images)

    assert [row["standing"] for row in recorded] == ["pending", "pending"]
