"""Static files under addresses that carry a hash of their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file, its media type and the first characters of its SHA-256."""

    body: bytes
    packed: bytes
    media_type: str
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """All static files by their path below `static/`."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES:
            body = path.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:12]
            name = path.relative_to(FOLDER).as_posix()
            found[name] = Asset(body, gzip.compress(body, mtime=0), TYPES[path.suffix], digest)
    return found


def asset_url(name: str) -> str:
    """The address of a static file. Raises KeyError for a name that does not exist."""
    return f"/static/{assets()[name].digest}/{name}"


@get("/static/{digest:str}/{name:path}", permission="public", include_in_schema=False)
async def static_file(request: Request[Any, Any, Any], digest: FromPath[str], name: FromPath[Path]) -> Response[bytes]:
    """A static file. An outdated digest gets today's file, not to be kept: a page may be older than the server."""
    asset = assets().get(str(name).lstrip("/"))
    if asset is None:
        return Response(b"There is no such file.\n", status_code=404, media_type="text/plain")
    headers = {"Cache-Control": FOREVER if digest == asset.digest else "no-cache", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)
