"""Answers that are bad below the platform's own language."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache

from aiohttp import web

from .faults import Mode

_PAGE = """<html>\r\n<head><title>{status}</title></head>\r\n<body><center><h1>{status}</h1></center><hr>nginx</body></html>\r\n"""


async def misbehave(request: web.Request, mode: Mode, closing: asyncio.Event) -> web.StreamResponse:
    """Answer as `mode` says; a hanging or endless answer ends when `closing` is set."""
    match mode.mode:
        case "status" | "fail_rate":
            headers = {"Retry-After": mode.retry_after} if mode.retry_after else {}
            return web.Response(status=mode.status or 500, text=mode.body or "as told", headers=headers)
        case "html":
            status = mode.status or 502
            return web.Response(status=status, text=mode.body or _PAGE.format(status=status), content_type="text/html")
        case "redirect":
            status = mode.status if 300 <= mode.status < 400 else 302
            return web.Response(status=status, headers={"Location": mode.location})
        case "gzip_bomb":
            return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"}, content_type="application/json")
        case "drip" | "flood" | "wrong_length":
            return await _stream(request, mode, closing)
        case "hang":
            await closing.wait()
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _stream(request: web.Request, mode: Mode, closing: asyncio.Event) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if mode.mode == "wrong_length":
        response.content_length = 1000
    await response.prepare(request)
    try:
        if mode.mode == "wrong_length":
            await response.write(b'{"only":')
            if request.transport is not None:
                request.transport.close()
            return response
        while not closing.is_set():
            await response.write(b" " if mode.mode == "drip" else b" " * 65536)
            if mode.mode == "drip":
                await asyncio.sleep(mode.every)
    except ConnectionError:
        pass
    return response


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (64 * 1024 * 1024), compresslevel=9)[: 15 * 1024]
