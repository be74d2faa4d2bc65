"""The guide's search in Python, as a Lambda function: its `embedText` and `searchDatabase`."""

import json
import os
from typing import Any

import requests
from supabase import create_client

supabase = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_KEY"])


def embed_text(text: str) -> list[float]:
    response = requests.post(
        f"{os.environ['ROBOFLOW_API_URL']}/clip/embed_text",
        params={"api_key": os.environ["ROBOFLOW_API_KEY"]},
        json={"clip_version_id": "ViT-B-16", "text": text},
        timeout=60,
    )
    response.raise_for_status()
    vector: list[float] = response.json()["embeddings"][0]
    return vector


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 -- Lambda's form
    found = supabase.rpc(
        "match_images",
        {
            "query_embedding": embed_text(event["queryStringParameters"]["q"]),
            "match_threshold": -1,
            "match_count": 10,
        },
    ).execute()
    return {"statusCode": 200, "body": json.dumps({"results": found.data})}
