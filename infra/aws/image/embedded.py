"""Run by Lambda's Python on what goes into an image: embed sentences and a picture with the model inside."""

import io
import json
import os
import sys


def main(root: str) -> dict[str, int]:
    """How long the vectors are, and how long they should be."""
    sys.path.insert(0, root)
    from PIL import Image

    from shared.images import decode
    from shared.permits import Unlimited
    from shared.settings import parse_embedding_settings
    from shared.wiring import build_embedder

    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "PNG")
    embedder = build_embedder(parse_embedding_settings(os.environ), Unlimited())
    [picture] = embedder.embed_pictures([decode(file.getvalue())])
    # A second text tower is only asked for what the first cannot read.
    [text, foreign] = embedder.embed_texts(["red", "红"])
    sizes = {"picture": len(picture), "text": len(text), "foreign text": len(foreign)}
    return {"model": embedder.model.dimensions, **sizes}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201 -- this is its answer
