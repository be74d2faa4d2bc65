"""The guide's upload in Python, as a Lambda function of S3's events: its `embedImage` and its insert."""

import base64
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3
import requests
from supabase import create_client

supabase = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_KEY"])
s3 = boto3.client("s3")


def embed_image(image: bytes) -> list[float]:
    response = requests.post(
        f"{os.environ['ROBOFLOW_API_URL']}/clip/embed_image",
        params={"api_key": os.environ["ROBOFLOW_API_KEY"]},
        json={
            "clip_version_id": "ViT-B-16",
            "image": [{"type": "base64", "value": base64.b64encode(image).decode()}],
        },
        timeout=60,
    )
    response.raise_for_status()
    vector: list[float] = response.json()["embeddings"][0]
    return vector


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 -- Lambda's form
    for record in event["Records"]:
        bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
        image = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        supabase.table("images").insert({"image": key, "embedding": embed_image(image)}).execute()
    return {"indexed": len(event["Records"])}
