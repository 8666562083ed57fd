"""Where the stores are: as configured, or the embedded ones of the data folder."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from tracker.settings import Settings
from tracker.stores.embedded import DataFolder

CLUSTER_SCHEMES = {"redis-cluster": False, "rediss-cluster": True}
"""Schemes of a Valkey Cluster's URL, and whether they mean TLS."""


class ClusterUrl(NamedTuple):
    """`redis-cluster://[[user]:password@]host[:port][,host[:port]…]`: a few nodes to ask for all others."""

    nodes: list[tuple[str, int]]
    username: str
    password: str
    tls: bool


def database_url(settings: Settings) -> str:
    """DATABASE_URL, or the embedded PostgreSQL's socket."""
    return settings.database_url or DataFolder(settings.data_path).database_url


def redis_url(settings: Settings) -> str:
    """REDIS_URL, or the embedded Valkey's socket."""
    return settings.redis_url or DataFolder(settings.data_path).redis_url


def cluster_url(url: str) -> ClusterUrl | None:
    """The parts of a cluster's URL; None when `url` is that of a single server. Raises ValueError when it names no node."""
    scheme, _, rest = url.partition("://")
    if scheme not in CLUSTER_SCHEMES:
        return None
    credentials, _, hosts = rest.partition("/")[0].rpartition("@")
    username, _, password = credentials.partition(":")
    nodes = [_node(part) for part in hosts.split(",") if part]
    if not nodes:
        raise ValueError("a cluster's URL names at least one node: redis-cluster://host:6379,other-host:6379")
    return ClusterUrl(nodes, unquote(username), unquote(password), CLUSTER_SCHEMES[scheme])


def _node(part: str) -> tuple[str, int]:
    host, colon, port = part.rpartition(":")
    if not colon or part.endswith("]"):  # no port: a name, or an IPv6 address in brackets
        host, port = part, "6379"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{part!r} is not host:port")
    return host.strip("[]"), int(port)
