"""From one model to the next: one target at a time, its work by store and bucket, and what is asked most."""

import re
from collections.abc import Callable, Iterator

import pytest

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    DIMENSIONS,
    Database,
    Row,
    Session,
    at_once,
    beside,
    call,
    error,
    index,
    item,
    own_database,
    result,
    search,
    sha256,
    vector,
)

_TRIES = 5
_DIED = "its workers died or ran out of time"


def _aim(session: Session, name: str, dimensions: int = DIMENSIONS) -> str:
    [row] = call(session, "aim_at_model_v1", model_name=name, model_dimensions=dimensions)
    state: str = row["aim_at_model_v1"]
    return state


def _activate(session: Session, name: str) -> None:
    call(session, "activate_model_v1", model_name=name, min_coverage=0)


def _models(session: Session) -> dict[str, Row]:
    return {model["name"]: model for model in call(session, "list_models_v2")}


def _targets(session: Session) -> list[str]:
    return [name for name, model in _models(session).items() if model["is_target"]]


def _active(session: Session) -> str:
    [row] = call(session, "active_model_v1")
    name: str = row["active_model_v1"]
    return name


def _claim(session: Session, **arguments: object) -> list[str]:
    """The names of the images that are handed out."""
    return [row["name"] for row in call(session, "claim_images_v2", **arguments)]


def _estimate(session: Session, name: str | None = None) -> tuple[int, int]:
    [row] = call(session, "reembed_estimate_v1", model_name=name)
    return row["images"], row["calls"]


def _expire(database: Database) -> None:
    """As if all workers had died."""
    database.owner().execute(
        "update pixseek.work set leased_until = now() - interval '1 s';"
        "update pixseek.leases set leased_until = now() - interval '1 s'"
    )


def _indexed(
    service: Session,
    *names: str,
    bucket: str = "photos",
    provider: str = "supabase",
    content: str | None = None,
) -> None:
    """Pictures that the first model has vectors of."""
    images = [item(name, content=content, bucket=bucket) for name in names]
    call(service, "put_bucket_v1", bucket_name=bucket, provider=provider)
    call(service, "record_images_v1", images=images, model_name="m")
    call(service, "store_vectors_v1", vectors=[result(one, vector(1)) for one in images], model_name="m")


def _ask(session: Session, **uses: int) -> None:
    """Texts, with underscores for blanks, and how often they were asked."""
    asked = [{"text": text.replace("_", " "), "uses": often} for text, often in uses.items()]
    call(session, "count_asked_v1", asked=asked)


def _most(session: Session, count: int = 10, model: str | None = None) -> list[str]:
    rows = call(session, "asked_most_v1", model_name=model, match_count=count)
    return [row["asked_most_v1"] for row in rows]


def _kept(database: Database) -> list[tuple[str | None, int]]:
    rows = database.owner().execute("select words, uses from pixseek.asked_texts order by uses")
    return [(words, uses) for words, uses in rows]


@pytest.fixture(scope="module")
def asked(server: Postgres) -> Iterator[Database]:
    """With one text that was asked nine times; its tests change nothing."""
    with own_database(server) as database:
        _ask(database.session(), a_secret=9)
        yield database


class TestATarget:
    def test_is_registered_and_being_built(self, service: Session) -> None:
        state = _aim(service, "n", 768)

        assert state == "building"
        assert _targets(service) == ["n"]
        assert _models(service)["n"]["dimensions"] == 768

    def test_may_be_aimed_at_again(self, service: Session) -> None:
        states = [_aim(service, "n") for _ in range(3)]

        assert states == ["building"] * 3
        assert _targets(service) == ["n"]

    def test_is_what_was_registered_before_too(self, service: Session) -> None:
        call(service, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)

        state = _aim(service, "n")

        assert (state, _targets(service)) == ("building", ["n"])

    def test_is_not_the_active_model(self, service: Session) -> None:
        assert _aim(service, "m") == "active"
        assert _targets(service) == []

    def test_is_not_a_model_that_was_switched_away_from(self, service: Session) -> None:
        _aim(service, "n")
        _activate(service, "n")

        assert _aim(service, "m") == "retired"
        assert (_active(service), _targets(service)) == ("n", [])

    def test_is_one_at_a_time(self, service: Session) -> None:
        _aim(service, "n")

        failure = error(lambda: _aim(service, "o"))

        assert failure.sqlstate == "55000"
        assert "being brought to model n, so not to o" in str(failure)
        assert "take its NEXT_CLIP_MODEL back, then pixseek models drop n." in (
            failure.diag.message_hint or ""
        )
        assert _targets(service) == ["n"]
        assert "o" not in _models(service)

    @pytest.mark.parametrize(
        "end", [_activate, lambda session, name: call(session, "drop_model_v1", model_name=name)]
    )
    def test_ends_when_it_is_activated_or_dropped(
        self, end: Callable[[Session, str], object], service: Session
    ) -> None:
        _aim(service, "n")

        end(service, "n")

        assert _targets(service) == []
        assert _aim(service, "o") == "building"

    def test_may_be_aimed_at_again_after_it_was_dropped(self, service: Session) -> None:
        _aim(service, "n")
        call(service, "drop_model_v1", model_name="n")

        assert _aim(service, "n") == "building"
        assert _targets(service) == ["n"]

    def test_may_be_switched_to_and_from_while_another_is_being_built(self, service: Session) -> None:
        _aim(service, "n")
        _activate(service, "n")
        _aim(service, "o")

        _activate(service, "m")

        assert _aim(service, "n") == "retired"
        assert _targets(service) == ["o"]

    def test_of_two_at_once_is_one(self, database: Database, service: Session) -> None:
        sessions = [(database.session(), name) for name in ("n", "o")]

        def try_to_aim(one: tuple[Session, str]) -> str:
            return error(lambda: _aim_and_fail(*one)).sqlstate or ""

        outcomes = at_once(try_to_aim, sessions)

        assert sorted(outcomes) == ["55000", "P0001"]
        assert len(_targets(service)) == 1

    def test_waits_for_whoever_aims_at_another(self, database: Database, service: Session) -> None:
        first = database.session()
        first.execute("begin")
        _aim(first, "n")

        with beside(database, service, lambda: error(lambda: _aim(service, "o"))) as second:
            first.execute("commit")

        assert second.result().sqlstate == "55000"
        assert _targets(service) == ["n"]

    def test_of_who_gave_up_stands_in_nobodys_way(self, database: Database, service: Session) -> None:
        first = database.session()
        first.execute("begin")
        _aim(first, "n")

        with beside(database, service, lambda: _aim(service, "o")) as second:
            first.execute("rollback")

        assert second.result() == "building"
        assert _targets(service) == ["o"]


def _aim_and_fail(session: Session, name: str) -> None:
    """Whoever comes through is told apart by an error of its own."""
    _aim(session, name)
    session.execute("do $$ begin raise exception 'aimed'; end $$")


class TestTheModels:
    def test_tell_since_when_they_are_retired(self, database: Database, service: Session) -> None:
        _aim(service, "n")
        _activate(service, "n")
        database.owner().execute(
            "update pixseek.models set retired_at = now() - interval '2 days' where name = 'm'"
        )

        models = _models(service)

        assert models["m"]["state"] == "retired"
        assert 172_800 <= models["m"]["retired_for_s"] < 172_900
        assert models["n"]["retired_for_s"] is None

    def test_tell_their_vectors_and_who_embeds_with_them(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg")
        _aim(service, "g", 512)
        _activate(service, "g")

        models = _models(service)

        assert [models[name]["vectors"] for name in ("m", "g")] == [2, 0]
        assert [models[name]["is_guides"] for name in ("m", "g")] == [False, True]

    @pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
    def test_tell_everybody_which_one_is_active(
        self, role: str, database: Database, service: Session
    ) -> None:
        session = database.session(role)
        before = _active(session)
        _aim(service, "n")
        _activate(service, "n")

        assert (before, _active(session)) == ("m", "n")

    def test_say_so_when_none_is_active(self, database: Database) -> None:
        database.owner().execute("update pixseek.models set state = 'retired'")

        failure = error(lambda: _active(database.session("anon")))

        assert failure.sqlstate == "42704"
        assert "none is active" in str(failure)


class TestACursor:
    @pytest.fixture
    def cursor(self, service: Session) -> str:
        """Of a search in model m."""
        _indexed(service, "a.jpg", "b.jpg")
        cursor: str = search(service, vector(1), match_count=1)["next_cursor"]
        return cursor

    @pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
    def test_tells_the_model_of_its_search(self, role: str, cursor: str, database: Database) -> None:
        [row] = call(database.session(role), "cursor_model_v1", page_cursor=cursor)

        assert row == {"cursor_model_v1": "m"}

    def test_tells_it_after_a_switch_too(self, cursor: str, service: Session) -> None:
        _aim(service, "n")
        _activate(service, "n")

        [row] = call(service, "cursor_model_v1", page_cursor=cursor)

        assert row == {"cursor_model_v1": "m"}

    def test_of_a_dropped_model_is_no_good_any_more(self, cursor: str, service: Session) -> None:
        _aim(service, "n")
        _activate(service, "n")
        call(service, "drop_model_v1", model_name="m")

        failure = error(lambda: call(service, "cursor_model_v1", page_cursor=cursor))

        assert failure.sqlstate == "22023"
        assert "no longer there" in str(failure)
        assert failure.diag.message_hint == "Start again without a cursor."

    @pytest.mark.parametrize(
        "page_cursor", ["", "nonsense", "%%%", "图", "A" * 10_000, "OTkgMSAwIDEgeA", "MSAxIDAgMQ"]
    )
    def test_that_is_none_is_refused(self, page_cursor: str, asked: Database) -> None:
        failure = error(lambda: call(asked.session("anon"), "cursor_model_v1", page_cursor=page_cursor))

        assert failure.sqlstate == "22023"
        assert "Start again" in str(failure) or "start without one" in str(failure)


class TestAnEstimate:
    def test_counts_the_same_bytes_once(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _indexed(service, "b.jpg", "c.jpg", content="the same")
        _aim(service, "n")

        assert _estimate(service, "n") == (3, 2)

    def test_of_a_model_that_the_index_does_not_know_is_of_all_pictures(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg")

        assert _estimate(service) == (2, 2)
        assert list(_models(service)) == ["m"]

    def test_leaves_out_what_has_a_vector_or_failed(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg", "c.jpg")
        _aim(service, "n")
        call(service, "store_vectors_v1", vectors=[result(item("a.jpg"), vector(1))], model_name="n")
        failed = {**item("b.jpg"), "reason": "too dark"}
        call(service, "store_vectors_v1", vectors=[failed], model_name="n")

        assert _estimate(service, "n") == (1, 1)

    def test_leaves_out_what_nobody_finds(self, service: Session) -> None:
        _indexed(service, "a.jpg", "c.jpg")
        blocked_id = index(service, item("b.jpg"), vector(1))
        broken = {**item("text.txt"), "reason": "not a picture"}
        call(service, "record_images_v1", images=[broken])
        call(service, "remove_images_v1", objects=[item("a.jpg", "2")])
        call(service, "block_images_v1", image_ids=[blocked_id], reason="a complaint")

        assert _estimate(service) == (1, 1)

    def test_takes_what_was_never_read_for_a_call_each(self, service: Session) -> None:
        unread = [{**item(name), "content_hash": None} for name in ("a.jpg", "b.jpg")]
        call(service, "record_images_v1", images=unread)

        assert _estimate(service, "m") == (2, 2)


class TestAClaim:
    def test_hands_out_what_a_model_lacks_with_what_the_index_knows_of_it(self, service: Session) -> None:
        call(service, "put_bucket_v1", bucket_name="photos")
        index(service, item("a.jpg", "7", version="v7"), vector(1))
        _aim(service, "n")

        [claimed] = call(service, "claim_images_v2", model="n")

        assert {**claimed, "image_id": 1} == {
            "image_id": 1,
            "bucket": "photos",
            "name": "a.jpg",
            "version": "v7",
            "ordering_key": "7",
            "content_hash": sha256("a.jpg"),
            "attempts": 1,
        }

    def test_of_the_active_model_hands_out_what_came_in(self, database: Database, service: Session) -> None:
        call(service, "record_images_v1", images=[item("a.jpg")])
        _expire(database)

        assert _claim(service) == ["a.jpg"]

    def test_hands_out_nothing_of_another_store(self, service: Session) -> None:
        _indexed(service, "ours.jpg")
        _indexed(service, "theirs.jpg", bucket="theirs", provider="s3")
        _aim(service, "n")

        claimed = [_claim(service, model="n", provider=of) for of in ("gcs", "supabase", "supabase", "s3")]

        assert claimed == [[], ["ours.jpg"], [], ["theirs.jpg"]]

    def test_hands_out_of_the_named_buckets_alone(self, service: Session) -> None:
        _indexed(service, "a.jpg", bucket="first")
        _indexed(service, "b.jpg", bucket="second")
        _aim(service, "n")

        claimed = [_claim(service, model="n", bucket_names=of) for of in (["second", "third"], [], None)]

        assert claimed == [["b.jpg"], [], ["a.jpg"]]

    def test_finds_ours_behind_thousands_of_another_store(self, database: Database, service: Session) -> None:
        _indexed(service, "first.jpg", bucket="theirs", provider="s3")
        database.owner().execute(
            "insert into pixseek.images (bucket, name, ordering_key, content_hash, state)"
            " select 'theirs', n || '.jpg', '1', encode(sha256(n::text::bytea), 'hex'), 'pending'"
            " from generate_series(1, 25000) n"
        )
        _indexed(service, "ours.jpg")
        _aim(service, "n")

        assert _claim(service, model="n") == ["ours.jpg"]

    def test_finds_a_gap_behind_what_it_has_found_before(self, service: Session) -> None:
        names = [f"{number}.jpg" for number in range(4)]
        _indexed(service, *names)
        _aim(service, "n")
        _claim(service, model="n")
        call(
            service,
            "store_vectors_v2",
            vectors=[result(item(name), vector(1)) for name in names],
            model_name="n",
        )
        done = _claim(service, model="n")
        service.execute(
            "delete from pixseek.vectors v using pixseek.images i, pixseek.models m"
            " where i.id = v.image_id and i.name = '1.jpg' and m.id = v.model_id and m.name = 'n'"
        )

        assert (done, _claim(service, model="n")) == ([], ["1.jpg"])

    def test_finds_a_gap_while_pictures_are_uploaded(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg")
        _aim(service, "n")
        _claim(service, model="n", n=2)
        service.execute(
            "delete from pixseek.work where image_id = (select min(id) from pixseek.images);"
            "delete from pixseek.leases"
        )
        _indexed(service, "c.jpg")

        assert _claim(service, model="n") == ["a.jpg", "c.jpg"]

    def test_finds_all_of_a_large_index_though_the_last_one_has_its_vector(
        self, database: Database, service: Session
    ) -> None:
        _indexed(service, "first.jpg")
        database.owner().execute(
            "insert into pixseek.images (bucket, name, ordering_key, content_hash, state)"
            " select 'photos', n || '.jpg', '1', encode(sha256(n::text::bytea), 'hex'), 'pending'"
            " from generate_series(1, 20500) n"
        )
        _indexed(service, "last.jpg")
        _aim(service, "n")
        call(service, "store_vectors_v2", vectors=[result(item("last.jpg"), vector(1))], model_name="n")

        found = [_find_and_finish(service) for _ in range(4)]

        assert found == [10_000, 10_000, 501, 0]

    def test_goes_over_a_model_that_was_dropped_anew(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg")
        _aim(service, "n")
        _claim(service, model="n")
        call(service, "drop_model_v1", model_name="n")
        _aim(service, "n")

        assert _claim(service, model="n") == ["a.jpg", "b.jpg"]

    def test_hands_out_one_picture_of_the_same_bytes(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg", content="the same")
        _aim(service, "n")

        claimed = [_claim(service, model="n"), _claim(service, model="n")]
        call(
            service,
            "store_vectors_v2",
            vectors=[result(item("a.jpg", content="the same"), vector(1))],
            model_name="n",
        )

        assert claimed == [["a.jpg"], []]
        assert _models(service)["n"]["vectors"] == 2

    def test_gives_copies_of_what_has_a_vector_theirs(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")
        call(service, "store_vectors_v2", vectors=[result(item("a.jpg"), vector(1))], model_name="n")
        copy = {**item("z.jpg", content="a.jpg"), "bucket": "photos"}
        call(service, "record_images_v1", images=[copy], model_name="m")

        assert _claim(service, model="n") == []
        assert _models(service)["n"]["vectors"] == 2

    def test_by_many_at_once_gives_each_its_own(self, database: Database, service: Session) -> None:
        names = [f"{number:03}.jpg" for number in range(120)]
        _indexed(service, *names)
        _aim(service, "n")
        sessions = [database.session() for _ in range(6)]

        def work(session: Session) -> list[str]:
            return [name for _ in range(6) for name in _claim(session, model="n", n=7)]

        shares = at_once(work, sessions)

        handed_out = sorted(name for share in shares for name in share)
        assert handed_out == names
        assert [len(share) > 0 for share in shares] == [True] * 6

    def test_whose_worker_died_comes_again_after_its_lease_and_not_before(
        self, database: Database, service: Session
    ) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")

        first = _claim(service, model="n", lease_s=120)
        meanwhile = _claim(service, model="n")
        _expire(database)
        [again] = call(service, "claim_images_v2", model="n")

        assert (first, meanwhile) == (["a.jpg"], [])
        assert (again["name"], again["attempts"]) == ("a.jpg", 2)

    def test_is_made_five_times_and_then_the_picture_has_failed_under_that_model(
        self, database: Database, service: Session
    ) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")

        claimed = [_claim_and_die(service, database) for _ in range(_TRIES + 1)]

        [gap] = call(service, "model_gaps_v1", model_name="n", match_count=9)
        [state] = call(service, "image_states_v1", bucket_name="photos", object_names=["a.jpg"])
        assert claimed == [["a.jpg"]] * _TRIES + [[]]
        assert (gap["state"], gap["reason"]) == ("failed", _DIED)
        assert state["state"] == "indexed"

    def test_that_is_given_back_takes_no_try(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")
        image = {key: item("a.jpg")[key] for key in ("bucket", "name", "content_hash")}

        attempts = [_claim_and_release(service, image) for _ in range(_TRIES + 2)]

        assert attempts == [[1]] * (_TRIES + 2)

    def test_hands_out_what_was_never_read(self, database: Database, service: Session) -> None:
        call(service, "record_images_v1", images=[{**item("a.jpg"), "content_hash": None}])
        _expire(database)

        [claimed] = call(service, "claim_images_v2")

        assert (claimed["name"], claimed["content_hash"]) == ("a.jpg", None)

    def test_of_what_was_never_read_lets_its_worker_record_it_at_once(
        self, database: Database, service: Session
    ) -> None:
        call(service, "record_images_v1", images=[{**item("a.jpg"), "content_hash": None}])
        _expire(database)
        _claim(service)

        [recorded] = call(service, "record_images_v1", images=[item("a.jpg")])

        assert recorded["standing"] == "pending"


def _find_and_finish(service: Session) -> int:
    """How many pictures are put to the work of the second model, which has them as failed then."""
    service.execute("select pixseek.find_work_of(2, array['photos'])")
    finished = service.execute(
        "update pixseek.work set is_failed = true, reason = 'too dark' where model_id = 2 and not is_failed"
    )
    return finished.rowcount


def _attempts(session: Session) -> list[tuple[int, bool]]:
    """Of all work, and whether it is leased."""
    statement = "select attempts, leased_until > '-infinity' from pixseek.work order by image_id, model_id"
    return session.execute(statement.encode()).fetchall()


class TestAClaimThatIsReturned:
    def test_is_open_work_again_and_no_try(self, service: Session) -> None:
        _indexed(service, "a.jpg", "b.jpg", content="the same")
        _aim(service, "n")
        [claimed] = call(service, "claim_images_v2", model="n")
        before = _attempts(service)

        call(service, "return_images_v1", image_ids=[claimed["image_id"]], model_name="n")

        assert (before, _attempts(service)) == ([(1, True), (0, False)], [(0, False)] * 2)
        assert _claim(service, model="n") == ["a.jpg"]

    def test_may_be_of_what_was_never_read(self, database: Database, service: Session) -> None:
        unread = [{**item(name), "content_hash": None} for name in ("a.jpg", "b.jpg")]
        call(service, "record_images_v1", images=unread)
        _expire(database)
        claimed = call(service, "claim_images_v2")

        call(service, "return_images_v1", image_ids=[row["image_id"] for row in claimed])

        assert [row["attempts"] for row in claimed] == [2, 2]
        assert _attempts(service) == [(1, False)] * 2
        assert _claim(service) == ["a.jpg", "b.jpg"]

    def test_is_returned_once(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")
        [claimed] = call(service, "claim_images_v2", model="n")

        _ = [
            call(service, "return_images_v1", image_ids=[claimed["image_id"], 1_000_000], model_name="n")
            for _ in range(3)
        ]

        assert _attempts(service) == [(0, False)]

    def test_is_of_one_model(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")
        [claimed] = call(service, "claim_images_v2", model="n")

        call(service, "return_images_v1", image_ids=[claimed["image_id"]])
        call(service, "return_images_v1", image_ids=[])

        assert _attempts(service) == [(1, True)]

    def test_stays_failed_when_it_was(self, service: Session) -> None:
        _indexed(service, "a.jpg")
        _aim(service, "n")
        [claimed] = call(service, "claim_images_v2", model="n")
        failed = {**item("a.jpg"), "reason": "too dark"}
        call(service, "store_vectors_v1", vectors=[failed], model_name="n")

        call(service, "return_images_v1", image_ids=[claimed["image_id"]], model_name="n")

        [gap] = call(service, "model_gaps_v1", model_name="n", match_count=9)
        assert (gap["state"], _claim(service, model="n")) == ("failed", [])


def _claim_and_die(service: Session, database: Database) -> list[str]:
    claimed = _claim(service, model="n")
    _expire(database)
    return claimed


def _claim_and_release(service: Session, image: Row) -> list[int]:
    """How often each picture was tried."""
    claimed = call(service, "claim_images_v2", model="n")
    call(service, "release_images_v1", images=[image], model_name="n")
    return [row["attempts"] for row in claimed]


def _ask_each_ten_times(by: tuple[Session, list[str]]) -> None:
    session, texts = by
    for _ in range(10):
        _ask(session, **dict.fromkeys(texts, 1))


class TestWhatIsAsked:
    def test_is_kept_in_words_from_the_fifth_time_on(self, database: Database, service: Session) -> None:
        _ask(service, a_dog=4)
        after_four = (_kept(database), _most(service))

        _ask(service, a_dog=1)

        assert after_four == ([(None, 4)], [])
        assert (_kept(database), _most(service)) == ([("a dog", 5)], ["a dog"])

    def test_five_times_at_once_is_kept_in_words(self, service: Session) -> None:
        _ask(service, a_dog=5, a_cat=4)

        assert _most(service) == ["a dog"]

    def test_in_other_forms_is_the_same_text(self, database: Database, service: Session) -> None:
        asked = [("a dog", 2), (" a  dog\n", 2), ("a\u3000dog", 1), ("\uff41 dog", 1)]

        call(service, "count_asked_v1", asked=[{"text": text, "uses": uses} for text, uses in asked])

        [(words, uses)] = _kept(database)
        assert uses == 6
        assert re.sub(r"\s+", " ", (words or "").strip()) in {"a dog", "\uff41 dog"}

    def test_most_comes_first(self, service: Session) -> None:
        _ask(service, a_dog=5, a_cat=9, a_cow=7, a_bee=3)

        assert _most(service) == ["a cat", "a cow", "a dog"]
        assert _most(service, 2) == ["a cat", "a cow"]

    def test_is_not_told_again_to_a_model_that_remembers_it(self, service: Session) -> None:
        _ask(service, a_dog=5, a_cat=9)
        _aim(service, "n")
        call(
            service,
            "remember_query_v1",
            query_text="a  cat",
            query_embedding=vector(1),
            model_name="n",
        )

        assert _most(service, model="n") == ["a dog"]
        assert _most(service, model="m") == ["a cat", "a dog"]

    def test_goes_90_days_after_it_was_asked_last(self, database: Database, service: Session) -> None:
        _ask(service, long_ago=9, lately=9, again=9)
        owner = database.owner()
        owner.execute("update pixseek.asked_texts set asked_on = asked_on - 91 where words <> 'lately'")
        owner.execute("update pixseek.asked_texts set asked_on = asked_on - 90 where words = 'lately'")

        _ask(service, again=1)

        assert _kept(database) == [("lately", 9), ("again", 10)]

    def test_by_many_at_once_is_counted_in_full(self, database: Database, service: Session) -> None:
        forth = ["a_dog", "a_cat", "a_cow"]
        sessions = [(database.session(), forth[:: 1 if number % 2 else -1]) for number in range(6)]

        at_once(_ask_each_ten_times, sessions)

        assert {uses for _, uses in _kept(database)} == {60}
        assert set(_most(service)) == {"a dog", "a cat", "a cow"}

    @pytest.mark.parametrize(
        "items",
        [
            "{}",
            "[]",
            "[1]",
            "[null]",
            "[{}]",
            '[{"text": "a dog"}]',
            '[{"uses": 5}]',
            '[{"text": 7, "uses": 5}]',
            '[{"text": "a dog", "uses": "5"}]',
            '[{"text": "a dog", "uses": 0}]',
            '[{"text": "a dog", "uses": -1}]',
            '[{"text": "a dog", "uses": 1.5}]',
            '[{"text": "a dog", "uses": 1000001}]',
            '[{"text": "a dog", "uses": 1e300}]',
            '[{"text": " ", "uses": 5}]',
            '[{"text": "a cat", "uses": 5}, {"text": "\u3000", "uses": 5}]',
        ],
    )
    def test_that_is_no_list_of_texts_and_counts_is_refused_as_a_whole(
        self, items: str, asked: Database
    ) -> None:
        failure = error(lambda: call(asked.session(), "count_asked_v1", asked=items))

        assert failure.sqlstate == "22023"
        assert failure.diag.message_hint
        assert _kept(asked) == [("a secret", 9)]

    def test_of_more_than_500_is_refused(self, database: Database, service: Session) -> None:
        asked = [{"text": f"text {number}", "uses": 1} for number in range(501)]

        failure = error(lambda: call(service, "count_asked_v1", asked=asked))
        call(service, "count_asked_v1", asked=asked[:500])

        assert failure.sqlstate == "22023"
        assert len(_kept(database)) == 500

    @pytest.mark.parametrize("role", ["anon", "authenticated"])
    @pytest.mark.parametrize(
        "statement",
        [
            "select * from pixseek.asked_texts",
            "delete from pixseek.asked_texts",
            "select public.asked_most_v1('m', 10)",
            """select public.count_asked_v1('[{"text": "a dog", "uses": 5}]')""",
        ],
    )
    def test_is_nobodys_to_read_but_the_services(self, statement: str, role: str, asked: Database) -> None:
        failure = error(lambda: asked.session(role).execute(statement.encode()))

        assert failure.sqlstate == "42501"
