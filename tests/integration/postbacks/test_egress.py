"""Egress against receivers that misbehave and names that point inside."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtests.emulators.receiver import Behaviour, Receiver, running_receiver
from postbacks.egress import BODY_CAP, Egress, Request, SendFailure

LOOPBACK = ["127.0.0.0/8"]


class FixedResolver(AbstractResolver):
    """Resolves every name to the given addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        return


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    opened = Egress(allow=LOOPBACK, timeout=5.0)
    yield opened
    await opened.close()


async def failure_of(egress: Egress, url: str) -> SendFailure:
    with pytest.raises(SendFailure) as failed:
        await egress.send(Request("GET", url))
    await egress.close()
    return failed.value


async def test_an_ordinary_answer(egress: Egress, receiver: Receiver) -> None:
    url = receiver.url_of("a") + "/x%2Fy/%E2%98%80?q=%7B%7D&r=a%20b+c"
    answer = await egress.send(Request("POST", url, {"X-One": "1"}, b"body"))
    assert (answer.status, answer.body, answer.note) == (200, b"ok", "")
    [request] = receiver.received("a")
    assert (request.method, request.path, request.query, request.body) == (
        "POST",
        "/p/a/x%2Fy/%E2%98%80",
        "q=%7B%7D&r=a%20b+c",
        "body",
    )
    assert request.headers["X-One"] == "1"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"] == "Clickbind/1"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"]
)
async def test_literal_private_addresses_are_refused(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    failure = await failure_of(Egress(timeout=5.0), f"http://{host}:{port}/p/a")
    assert failure.outcome == "transient"
    assert "is not a public address" in failure.words
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "169.254.169.254"]
)
async def test_names_that_resolve_to_private_addresses_are_refused(receiver: Receiver, address: str) -> None:
    resolver = FixedResolver(address)
    port = receiver.url.rpartition(":")[2]
    failure = await failure_of(Egress(timeout=5.0, resolver=resolver), f"http://public.example:{port}/p/a")
    assert resolver.asked == ["public.example"]
    assert address in failure.words
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost"])
async def test_other_spellings_of_this_machine_are_refused(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    await failure_of(Egress(timeout=5.0), f"http://{host}:{port}/p/a")
    assert receiver.requests == []


async def test_a_public_address_among_private_ones_is_used(receiver: Receiver) -> None:
    """What may be dialled is dialled, what may not is passed over (here loopback stands in for public)."""
    port = receiver.url.rpartition(":")[2]
    egress = Egress(allow=LOOPBACK, timeout=5.0, resolver=FixedResolver("10.0.0.1", "127.0.0.1"))
    answer = await egress.send(Request("GET", f"http://public.example:{port}/p/a"))
    await egress.close()
    assert answer.status == 200


async def test_redirects_are_answers_not_followed(egress: Egress, receiver: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.mode("a", "redirect", status=status, location=receiver.url_of("inside"))
        answer = await egress.send(Request("GET", receiver.url_of("a")))
        assert answer.status == status
    assert receiver.received("inside") == []


async def test_the_environments_proxy_is_not_used(
    egress: Egress, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    assert (await egress.send(Request("GET", receiver.url_of("a")))).status == 200


async def test_cookies_are_not_kept(egress: Egress, receiver: Receiver) -> None:
    for _ in range(2):
        await egress.send(Request("GET", receiver.url_of("a")))
    assert all("Cookie" not in request.headers for request in receiver.requests)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("hang", {}), ("drip_headers", {"every": 0.01}), ("informational", {"every": 0.01})],
)
async def test_answers_that_never_come_end_at_the_deadline(
    receiver: Receiver, mode: Behaviour, options: dict[str, Any]
) -> None:
    receiver.mode("a", mode, **options)
    failure = await failure_of(Egress(allow=LOOPBACK, timeout=0.3), receiver.url_of("a"))
    assert (failure.outcome, failure.words, failure.overloaded) == ("transient", "no answer within 0.3 s", True)


async def test_a_dripping_body_ends_at_the_deadline(receiver: Receiver) -> None:
    receiver.mode("a", "drip", every=0.02)
    egress = Egress(allow=LOOPBACK, timeout=0.5)
    answer = await egress.send(Request("GET", receiver.url_of("a")))
    await egress.close()
    assert (answer.status, answer.note) == (200, "the body did not end within 0.5 s")
    assert answer.body.startswith(b"x")


async def test_endless_headers_are_cut_off(receiver: Receiver) -> None:
    receiver.mode("a", "drip_headers", every=0)
    failure = await failure_of(Egress(allow=LOOPBACK, timeout=30.0), receiver.url_of("a"))
    assert failure.outcome == "transient"
    assert "not an HTTP answer" in failure.words


async def test_a_flood_is_read_to_the_cap_only(egress: Egress, receiver: Receiver) -> None:
    receiver.mode("a", "flood")
    tracemalloc.start()
    answer = await egress.send(Request("GET", receiver.url_of("a")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(answer.body) == BODY_CAP
    assert "longer than 16 KiB" in answer.note
    assert peak < 4 * 1024 * 1024


async def test_compressed_bodies_are_not_inflated(egress: Egress, receiver: Receiver) -> None:
    receiver.mode("a", "gzip_bomb")
    answer = await egress.send(Request("GET", receiver.url_of("a")))
    assert answer.body.startswith(b"\x1f\x8b")
    assert len(answer.body) <= BODY_CAP


async def test_a_body_shorter_than_promised_is_noted(egress: Egress, receiver: Receiver) -> None:
    receiver.mode("a", "wrong_length")
    answer = await egress.send(Request("GET", receiver.url_of("a")))
    assert (answer.status, answer.body) == (200, b"only this")
    assert answer.note.startswith("the body broke off")


async def test_a_reset_is_one_request_and_transient(egress: Egress, receiver: Receiver) -> None:
    receiver.mode("a", "reset")
    failure = await failure_of(egress, receiver.url_of("a"))
    assert failure.outcome == "transient"
    assert len(receiver.requests) == 1


async def test_nobody_listens(egress: Egress) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    failure = await failure_of(egress, f"http://127.0.0.1:{port}/")
    assert (failure.outcome, failure.words) == ("transient", "cannot connect: Connection refused")


async def test_names_that_do_not_resolve_are_ours(egress: Egress) -> None:
    failure = await failure_of(egress, "http://nobody.invalid/")
    assert failure.outcome == "ours"
    assert failure.words.startswith("the name could not be resolved")


async def test_a_resolver_that_hangs_is_ours_and_blocks_nobody(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *rest: Any) -> Any:
        return let_go.wait(10) if host == "slow.example" else real(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    egress = Egress(allow=LOOPBACK, timeout=1.0)
    stuck = asyncio.create_task(egress.send(Request("GET", "http://slow.example/")))
    assert (await egress.send(Request("GET", receiver.url_of("a")))).status == 200
    with pytest.raises(SendFailure) as failed:
        await stuck
    let_go.set()
    await egress.close()
    assert failed.value.outcome == "ours"
    assert failed.value.words == "the name could not be resolved: the resolver did not answer within 0.5 s"


def server_tls(folder: Path, *, name: str, expired: bool = False) -> ssl.SSLContext:
    """A server's context with a self-signed certificate for `name` (and 127.0.0.1 unless `name` is another host)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    ends = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_tls_is_verified(tmp_path: Path) -> None:
    async with running_receiver(tls=server_tls(tmp_path, name="localhost")) as receiver:
        failure = await failure_of(Egress(allow=LOOPBACK), receiver.url_of("a"))
        assert failure.outcome == "transient"
        assert failure.words.startswith("TLS certificate not accepted")
        trusting = Egress(allow=LOOPBACK, tls=ssl.create_default_context(cafile=str(tmp_path / "localhost.pem")))
        assert (await trusting.send(Request("GET", receiver.url_of("a")))).status == 200
        await trusting.close()


@pytest.mark.parametrize(
    ("name", "expired", "words"), [("other.example", False, "127.0.0.1"), ("localhost", True, "expired")]
)
async def test_wrong_name_and_expiry_are_told_apart(tmp_path: Path, name: str, expired: bool, words: str) -> None:
    async with running_receiver(tls=server_tls(tmp_path, name=name, expired=expired)) as receiver:
        trusting = Egress(allow=LOOPBACK, tls=ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem")))
        failure = await failure_of(trusting, receiver.url_of("a"))
        assert failure.words.startswith("TLS certificate not accepted")
        assert words in failure.words


async def test_plain_text_behind_https_is_a_failed_handshake(receiver: Receiver) -> None:
    failure = await failure_of(Egress(allow=LOOPBACK), receiver.url_of("a").replace("http:", "https:"))
    assert failure.words.startswith("TLS handshake failed")
    assert receiver.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
async def test_old_tls_is_refused(tmp_path: Path) -> None:
    server = server_tls(tmp_path, name="localhost")
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.minimum_version = ssl.TLSVersion.TLSv1
    server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running_receiver(tls=server) as receiver:
        trusting = Egress(allow=LOOPBACK, tls=ssl.create_default_context(cafile=str(tmp_path / "localhost.pem")))
        failure = await failure_of(trusting, receiver.url_of("a"))
        assert failure.outcome == "transient"
        assert receiver.requests == []


async def test_a_stalled_handshake_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        failure = await failure_of(Egress(allow=LOOPBACK, timeout=0.3), f"https://127.0.0.1:{port}/")
    assert (failure.outcome, failure.overloaded) == ("transient", True)
