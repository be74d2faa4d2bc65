"""The guide's way: embed, upload, insert, one picture at a time."""

import base64
from collections.abc import Sequence

import requests
from supabase import Client


def ingest(client: Client, bucket: str, files: Sequence[bytes], *, api_url: str, key: str) -> None:
    """Each file as it is, by a connection of its own to the API, as the guide's code does."""
    for number, file in enumerate(files):
        name = f"{bucket}-{number}.jpg"
        image = {"type": "base64", "value": base64.b64encode(file).decode("ascii")}
        body = {"api_key": key, "clip_version_id": "ViT-B-16", "image": image}
        answer = requests.post(f"{api_url}/clip/embed_image", json=body, timeout=60)
        answer.raise_for_status()
        client.storage.from_(bucket).upload(name, file, {"content-type": "image/jpeg"})
        client.table("images").insert({"image": name, "embedding": answer.json()["embeddings"][0]}).execute()
