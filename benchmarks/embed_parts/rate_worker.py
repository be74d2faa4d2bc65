"""One of the processes that index through the spend guard for `hosted.py`; its argument is the API's URL."""

import json
import sys
import time

from PIL import Image

from shared.database import Database
from shared.embedding.manifest import manifest_named
from shared.embedding.roboflow import RoboflowEmbedder
from shared.errors import Unavailable
from shared.images import Picture
from shared.models import Lane
from shared.permits import Permits

_BATCH = 32


def main(url: str) -> None:
    """Embed for as long as the request says, then tell how many pictures."""
    request = json.loads(sys.stdin.readline())

    permits = Permits(lambda *wanted: database.take_permits(*wanted))
    database = Database(
        request["supabase_url"],
        service_key=request["service_key"],
        anon_key=request["service_key"],
        timeout_s=10,
        lane=Lane.INDEXING,
        costs=lambda _: True,
        keep_permits=permits.add,
    )
    embedder = RoboflowEmbedder(
        manifest_named(request["model"]), guard=permits, url=url, api_key=request["key"]
    )
    pictures = [
        Picture(Image.new("RGB", (640, 480), (number, 0, 0)), content_type="") for number in range(_BATCH)
    ]
    deadline = time.monotonic() + request["seconds"]
    calls = 0
    while time.monotonic() < deadline:
        try:
            calls += len(embedder.embed_pictures(pictures, deadline=deadline))
        except Unavailable:  # its time is over
            break
    sys.stdout.write(json.dumps({"calls": calls}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
