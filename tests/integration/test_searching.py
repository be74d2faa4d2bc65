"""The search function over HTTP."""

from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from supabase import Client, create_client

from infra.cli.connection import Project
from shared.embedding.offline import MODEL
from shared.ports import Embedder
from tests.integration.conftest import picture_bytes, rows
from tests.integration.search_world import api_with, images

Ask = Callable[..., httpx.Response]
State = Callable[[str, str], dict[str, str | None] | None]
Wait = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("a cat", "packaged/chelsea.png"),
        ("a cup of coffee", "packaged/coffee.png"),
        ("a temple", "packaged/china.jpg"),
        ("a rocket", "packaged/rocket.jpg"),
        ("a flower", "packaged/flower.jpg"),
        ("a motorcycle", "packaged/motorcycle_left.png"),
        ("猫", "packaged/chelsea.png"),
        ("咖啡", "packaged/coffee.png"),
        ("火箭", "packaged/rocket.jpg"),
    ],
)
def test_the_right_photograph_comes_first(text: str, image: str, packaged: dict[str, Path], ask: Ask) -> None:
    assert image in packaged

    reply = ask(q=text, limit="3").json()

    assert reply["results"][0]["image"] == image


def test_a_reply_tells_what_was_found_by_which_model(packaged: dict[str, Path], ask: Ask) -> None:
    answer = ask(q="a cat", limit="2")

    assert answer.status_code == 200
    reply = answer.json()
    assert set(reply) == {"results", "model", "path", "next_cursor", "warnings", "took_ms"}
    assert reply["model"] == "pixseek/lite0-use3-conse-v1"
    assert set(reply["results"][0]) == {
        "id", "bucket", "image", "similarity", "url", "preview_url", "width", "height", "taken_at",
        "average_colour",
    }  # fmt: skip
    assert {"embed", "search", "links", "total"} == {
        stage.split(";")[0] for stage in answer.headers["Server-Timing"].split(", ")
    }
    assert len(packaged) >= 15


def test_results_come_best_first_and_not_below_the_floor(packaged: dict[str, Path], ask: Ask) -> None:
    similarities = [result["similarity"] for result in ask(q="a cat", limit="1000").json()["results"]]

    assert similarities == sorted(similarities, reverse=True)
    assert 0 < len(similarities) < len(packaged)
    assert min(similarities) >= MODEL.similarity_floor


@pytest.mark.parametrize(
    ("parameters", "detail"),
    [
        ({}, "q: Field required"),
        ({"q": ""}, "say what the picture shows"),
        ({"q": "   "}, "say what the picture shows"),
        ({"q": "a" * 5_000}, "too many"),
        ({"q": "a\0b"}, "NUL"),
        ({"q": "dog", "limit": "0"}, "limit: Input should be greater than or equal to 1"),
        ({"q": "dog", "limit": "-1"}, "limit: Input should be greater than or equal to 1"),
        ({"q": "dog", "limit": "1000000000"}, "limit: Input should be less than or equal to 1000"),
        ({"q": "dog", "limit": "ten"}, "limit: Input should be a valid integer"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_the_reason(
    parameters: dict[str, str], detail: str, ask: Ask
) -> None:
    answer = ask(**parameters)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    assert answer.json()["request_id"]


def test_ten_thousand_characters_never_reach_the_embedder(ask: Ask) -> None:
    answer = ask(q="a" * 10_000)

    assert answer.status_code == 400
    assert "too many" in answer.json()["detail"]


@pytest.mark.parametrize(
    "token", [None, "nonsense", "caf\u00e9", "eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0."]
)
def test_a_caller_without_a_valid_token_is_refused(token: str | None, ask: Ask) -> None:
    answer = ask(token, q="a cat")

    assert answer.status_code == 401


def test_a_link_is_the_callers_right_in_the_bucket_not_the_indexs_opinion(
    packaged: dict[str, Path],
    client: Client,
    bucket: str,
    sql: psycopg.Connection,
    user_token: Callable[[str], str],
    state_of: State,
    wait_for: Wait,
    ask: Ask,
) -> None:
    """The index may still think that the picture is hers when its name is another's already."""
    carol = "00000003-0000-4000-8000-000000000000"
    client.storage.from_(bucket).upload("cat.png", packaged["packaged/chelsea.png"].read_bytes())
    wait_for(lambda: (state_of(bucket, "cat.png") or {}).get("state") == "indexed")
    sql.execute("update pixseek.images set owner = %s where bucket = %s", (carol, bucket))

    [denied] = ask(user_token(carol), q="a cat").json()["results"]
    sql.execute(
        "create policy all_read on storage.objects for select to authenticated "
        f"using (bucket_id = '{bucket}')".encode()
    )
    [allowed] = ask(user_token(carol), q="a cat").json()["results"]
    sql.execute("drop policy all_read on storage.objects")

    assert denied["url"] is None
    assert httpx.get(allowed["url"]).status_code == 200


def test_in_public_mode_anybody_finds_pictures_of_public_buckets_only(
    packaged: dict[str, Path], project: Project, embedder: Embedder, client: Client
) -> None:
    assert packaged
    api = api_with(embedder, project.connection, auth="public")
    query = {"q": "a cat", "bucket": "photos"}

    private = api.ask("GET", "/search", params=query).json()
    client.rpc("put_bucket_v1", {"bucket_name": "photos", "is_public": True}).execute()
    public = api.ask("GET", "/search", params=query).json()
    client.rpc("put_bucket_v1", {"bucket_name": "photos", "is_public": False}).execute()

    assert images(private) == []
    assert "chelsea.png" in images(public)
    assert httpx.get(public["results"][0]["url"]).status_code == 200


def test_in_user_mode_the_anon_key_signs_nobody_in(ask: Ask, project: Project) -> None:
    answer = ask(project.connection.anon_key, q="a cat")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_another_path_is_not_found(project: Project) -> None:
    answer = httpx.get(f"{project.connection.search_url}/nowhere")

    assert answer.status_code == 404


def test_a_signed_in_user_finds_only_pictures_of_their_own(
    packaged: dict[str, Path],
    project: Project,
    bucket: str,
    sql: psycopg.Connection,
    user_token: Callable[[str], str],
    state_of: State,
    wait_for: Wait,
    ask: Ask,
) -> None:
    alice, bob = (f"{number:08d}-0000-4000-8000-000000000000" for number in (1, 2))
    sql.execute(
        "create policy own on storage.objects for insert to authenticated "
        f"with check (bucket_id = '{bucket}')".encode()
    )
    cat = packaged["packaged/chelsea.png"].read_bytes()
    headers = {"apikey": project.connection.anon_key, "Authorization": f"Bearer {user_token(alice)}"}
    upload = f"{project.connection.supabase_url}/storage/v1/object/{bucket}/alices-cat.png"

    stored = httpx.post(upload, content=cat, headers=headers)
    sql.execute("drop policy own on storage.objects")

    assert stored.status_code == 200
    wait_for(lambda: (state_of(bucket, "alices-cat.png") or {}).get("state") == "indexed")
    of_alice = [result["image"] for result in ask(user_token(alice), q="a cat").json()["results"]]
    of_bob = [result["image"] for result in ask(user_token(bob), q="a cat").json()["results"]]
    assert of_alice == ["alices-cat.png"]
    assert of_bob == []


class TestTheGuidesFunction:
    """`match_images` through the unmodified supabase client."""

    @pytest.fixture
    def vector(self, packaged: dict[str, Path], sql: psycopg.Connection) -> list[float]:
        """The vector of a known picture."""
        assert packaged
        [embedding] = sql.execute(
            "select v.embedding::extensions.vector::real[] from pixseek.vectors v "
            "join pixseek.images i on i.id = v.image_id where i.name = 'packaged/coffee.png'"
        ).fetchone() or [None]
        assert isinstance(embedding, list)
        return embedding

    def test_it_answers_id_image_similarity_best_first(self, client: Client, vector: list[float]) -> None:
        found = rows(client, "match_images", query_embedding=vector, match_threshold=-1, match_count=5)

        assert [set(row) for row in found] == [{"id", "image", "similarity"}] * 5
        assert found[0]["image"] == "packaged/coffee.png"
        assert found[0]["similarity"] == pytest.approx(1, abs=1e-3)
        similarities = [row["similarity"] for row in found]
        assert similarities == sorted(similarities, reverse=True)

    def test_the_threshold_cuts(self, client: Client, vector: list[float]) -> None:
        found = rows(client, "match_images", query_embedding=vector, match_threshold=0.999, match_count=5)

        assert {row["image"] for row in found} == {"packaged/coffee.png"}

    def test_a_vector_may_come_as_text(self, client: Client, vector: list[float]) -> None:
        found = rows(
            client, "match_images", query_embedding=str(vector), match_threshold=0.999, match_count=1
        )

        assert found[0]["image"] == "packaged/coffee.png"

    def test_anon_finds_nothing_private(self, project: Project, vector: list[float]) -> None:
        anon = create_client(project.connection.supabase_url, project.connection.anon_key)

        found = rows(anon, "match_images", query_embedding=vector, match_threshold=-1, match_count=5)

        assert found == []

    @pytest.mark.parametrize(
        ("embedding", "count", "code"),
        [
            ([0.1, 0.2], 5, "22023"),
            ([0.0] * 512, 5, "22023"),
            ("[" + ",".join(["NaN"] * 512) + "]", 5, "22000"),
            ("[]", 5, "22000"),
            (None, 5, "22023"),
            ([0.1] * 512, 0, "22023"),
            ([0.1] * 512, 1001, "22023"),
            ([0.1] * 512, None, "22023"),
            ([0.1] * 512, "ten", "22P02"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_its_code(
        self, embedding: object, count: object, code: str, client: Client
    ) -> None:
        from postgrest import APIError

        arguments = {"query_embedding": embedding, "match_threshold": 0, "match_count": count}

        with pytest.raises(APIError) as caught:
            client.rpc("match_images", arguments).execute()

        assert caught.value.code == code


def test_the_supabase_client_is_the_one_of_site_packages() -> None:
    import supabase

    assert "site-packages" in str(supabase.__file__)


def test_a_picture_of_one_colour_is_no_cat(
    client: Client, bucket: str, state_of: State, wait_for: Wait, ask: Ask
) -> None:
    client.storage.from_(bucket).upload("plain.png", picture_bytes((0, 120, 0)))
    wait_for(lambda: (state_of(bucket, "plain.png") or {}).get("state") == "indexed")

    found = [result["image"] for result in ask(q="a cat", limit="1000").json()["results"]]

    assert "plain.png" not in found
