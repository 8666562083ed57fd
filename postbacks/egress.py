"""The only module that opens sockets to strangers: one request, one answer, within one deadline.

The address actually dialled is checked (not the name, which may resolve differently a moment later); redirects are
never followed; nothing is decompressed; the body is read to a cap; no proxy, cookie or netrc of this machine is used.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from yarl import URL

from postbacks.addresses import parse_networks, refusal
from postbacks.deadline import Deadlines

BODY_CAP = 16 * 1024
USER_AGENT = "Clickbind/1"
WITH_HEAD = 4096  # so much of a body is sent together with the head; longer ones are not copied for it
KEEP_ALIVE_SECONDS = 4.0  # below the five seconds after which common servers drop an idle connection
# Failures of this machine or its network: the receiver never saw us, and is not to blame.
_OURS = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EADDRNOTAVAIL,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}


class Request(msgspec.Struct, frozen=True):
    """One HTTP request, ready to send. `url` is already encoded and goes out as it is.

    Of a batch, `events` is what is said of each event, for the log: a JSON array in their order, as it stands in the body.
    `harmless`: whoever wrote it has seen to it that nothing in there is a secret, or named like one.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | bytearray | None = None
    events: bytes | memoryview = b""
    harmless: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What came back. `body` is at most BODY_CAP bytes, as sent (never inflated); `note` says why it is not whole."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes = b""
    note: str = ""


class SendFailure(Exception):
    """No answer. `outcome` says whose fault; `overloaded` is true for a timeout; `words` are for people.

    `ambiguous`: the request may have arrived all the same.
    """

    def __init__(
        self, outcome: Literal["transient", "ours"], words: str, *, overloaded: bool = False, ambiguous: bool = False
    ) -> None:
        super().__init__(words)
        self.ambiguous = ambiguous
        self.outcome: Literal["transient", "ours"] = outcome
        self.words = words
        self.overloaded = overloaded


class _Body(aiohttp.BytesPayload):
    """A large body. aiohttp would copy it twice: to cut it to its length, and to write it together with the head."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        body = memoryview(self._value)
        await writer.write(body[:WITH_HEAD])
        await writer.write(body[WITH_HEAD:])


def _body(body: bytes | bytearray | None) -> bytes | bytearray | _Body | None:
    return body if body is None or len(body) <= WITH_HEAD else _Body(body)


class ThreadResolver(AbstractResolver):
    """The system's resolver in threads of its own, so that one slow name server does not starve other work.

    `patience`: seconds after which a look-up has failed, well before the request's deadline blames the receiver.
    """

    def __init__(self, patience: float, threads: int = 16) -> None:
        self._patience = patience
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError (socket.gaierror)."""
        loop = asyncio.get_running_loop()
        look_up = functools.partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(loop.run_in_executor(self._executor, look_up), self._patience)
        except TimeoutError as error:
            raise OSError(errno.EAGAIN, f"the resolver did not answer within {self._patience:g} s") from error
        results: list[ResolveResult] = []
        for address_family, _, protocol, _, sockaddr in found:
            address = {"hostname": host, "host": str(sockaddr[0]), "port": port, "family": int(address_family)}
            results.append(ResolveResult(**address, proto=protocol, flags=socket.AI_NUMERICHOST))  # type: ignore[typeddict-item]
        return results

    async def close(self) -> None:
        """Let go of the threads; a look-up that hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Egress:
    """A client for requests to strangers. Use inside a running loop; close it when done.

    `allow`: CIDRs of private networks that may be reached. `timeout`: seconds for everything, from name to last byte.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        timeout: float = 15.0,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow = parse_networks(allow)
        self._timeout = timeout
        self._deadlines = Deadlines(timeout)
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=30,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=resolver or ThreadResolver(patience=timeout / 2),
            socket_factory=self._open_socket,
            ssl=tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        )
        # aiohttp would silently send a GET a second time when the connection breaks; every try must be an attempt.
        self._session._retry_connection = False

    async def send(self, request: Request) -> Answer:
        """Send and read the answer, whatever its status. Raises SendFailure when there is none."""
        head: Answer | None = None
        body = bytearray()
        note = ""
        try:
            with self._deadlines.start():
                async with self._session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers or None,
                    data=_body(request.body),
                    allow_redirects=False,
                ) as response:
                    head = Answer(response.status, response.reason or "", response.headers)
                    content = response.content
                    if content.is_eof():  # all of it came with the head, as most do
                        body += content.read_nowait(BODY_CAP + 1)
                    if len(body) > BODY_CAP or not content.at_eof():
                        note = await _read_body(content, body)
                        if note:
                            response.close()
        except TimeoutError as error:
            if head is None:
                words = f"no answer within {self._timeout:g} s"
                raise SendFailure("transient", words, overloaded=True, ambiguous=True) from error
            note = f"the body did not end within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if head is None:
                raise _failure(error) from error
            note = f"the body broke off: {_words(error)}"
        return Answer(head.status, head.reason, head.headers, bytes(body), note)

    async def close(self) -> None:
        """Close all connections."""
        self._deadlines.close()
        await self._session.close()

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        reason = refusal(str(address[0]), self._allow)
        if reason:
            raise OSError(errno.EACCES, reason)
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened


async def _read_body(content: aiohttp.StreamReader, body: bytearray) -> str:
    """Read on to the end or the cap; returns why it is not whole."""
    while len(body) <= BODY_CAP:
        chunk = await content.readany()
        if not chunk:
            return ""
        body += chunk
    del body[BODY_CAP:]
    return f"the body was longer than {BODY_CAP // 1024} KiB; the rest was not read"


def _failure(error: Exception) -> SendFailure:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return SendFailure("ours", f"the name could not be resolved: {_words(error.os_error)}")
        case aiohttp.ClientConnectorCertificateError():
            return SendFailure("transient", f"TLS certificate not accepted: {_words(error.certificate_error)}")
        case aiohttp.ClientConnectorSSLError():
            return SendFailure("transient", f"TLS handshake failed: {_words(error.os_error)}")
        case aiohttp.ClientConnectorError():
            outcome: Literal["transient", "ours"] = "ours" if error.os_error.errno in _OURS else "transient"
            return SendFailure(outcome, f"cannot connect: {_words(error.os_error)}")
        case aiohttp.ServerDisconnectedError():
            return SendFailure("transient", "the connection was closed without an answer", ambiguous=True)
        case aiohttp.InvalidURL():
            return SendFailure("transient", "not a URL that can be requested")
        case aiohttp.ClientResponseError():
            return SendFailure("transient", f"not an HTTP answer: {error.message[:200]}", ambiguous=True)
        case OSError():
            ours = error.errno in _OURS
            return SendFailure("ours" if ours else "transient", f"connection lost: {_words(error)}", ambiguous=not ours)
    return SendFailure("transient", f"{type(error).__name__}: {_words(error)}", ambiguous=True)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        known = not isinstance(error, socket.gaierror | ssl.SSLError) and error.errno not in (
            errno.EACCES,
            errno.EAGAIN,
        )
        return os.strerror(error.errno) if known and error.errno > 0 else str(error.strerror)
    if isinstance(error, ConnectionResetError) and not str(error):
        return os.strerror(errno.ECONNRESET)
    return str(error)[:300] or type(error).__name__
