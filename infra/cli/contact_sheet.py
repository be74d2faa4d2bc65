"""The contact sheet: searches and the pictures they found, in one HTML file that needs nothing else."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import httpx

from shared import images
from shared.replies import Result, SearchReply

_THUMBNAIL_PX = 320
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1.5rem; }
h2 { margin: 2.5rem 0 .75rem; font-weight: 600; }
h2 small { font-weight: 400; opacity: .6; margin-left: .75rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
figure { margin: 0; }
img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #8882; border-radius: .5rem; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
figcaption b { float: right; font-variant-numeric: tabular-nums; }
figure:first-child img { outline: 3px solid #2a8; }
"""


def write_contact_sheet(path: Path, replies: Sequence[tuple[str, SearchReply]]) -> Path:
    """Write the sheet; its pictures are fetched through the links that the search gave."""
    with httpx.Client(timeout=30) as client:
        sections = "\n".join(_section(client, text, reply) for text, reply in replies)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>pixseek: what was found</title>\n'
        f"<style>{_STYLE}</style>\n<h1>What was found</h1>\n{sections}\n</html>\n",
        encoding="utf-8",
    )
    return path


def _section(client: httpx.Client, text: str, reply: SearchReply) -> str:
    figures = "\n".join(_figure(client, result) for result in reply.results)
    body = f'<div class="row">{figures}</div>' if figures else "<p>Nothing here shows that.</p>"
    return f"<h2>{escape(text)}<small>{reply.took_ms:.0f} ms</small></h2>\n{body}"


def _figure(client: httpx.Client, result: Result) -> str:
    name = escape(result.image)
    source = _thumbnail(client, result.url)
    return (
        f'<figure><img src="{source}" alt="{name}">'
        f"<figcaption><b>{result.similarity:.2f}</b>{name}</figcaption></figure>"
    )


def _thumbnail(client: httpx.Client, url: str | None) -> str:
    """A small WebP as a data URI; empty for a picture that has gone meanwhile."""
    if url is None:
        return ""
    picture = images.decode(client.get(url).raise_for_status().content)
    return "data:image/webp;base64," + base64.b64encode(picture.thumbnail(_THUMBNAIL_PX)).decode("ascii")
