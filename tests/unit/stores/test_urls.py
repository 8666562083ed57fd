"""The URL of a Valkey Cluster."""

from __future__ import annotations

import pytest

from tracker.settings import ConfigurationError, load
from tracker.stores.urls import ClusterUrl, cluster_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis-cluster://a:1", ClusterUrl([("a", 1)], "", "", False)),
        ("redis-cluster://a:1,b:2/", ClusterUrl([("a", 1), ("b", 2)], "", "", False)),
        ("redis-cluster://a,b:2", ClusterUrl([("a", 6379), ("b", 2)], "", "", False)),
        ("rediss-cluster://me:p%40ss@a:1", ClusterUrl([("a", 1)], "me", "p@ss", True)),
        ("redis-cluster://:secret@[::1]:7000,[::2]", ClusterUrl([("::1", 7000), ("::2", 6379)], "", "secret", False)),
    ],
)
def test_the_parts_of_a_cluster_url(url: str, parts: ClusterUrl) -> None:
    assert cluster_url(url) == parts


@pytest.mark.parametrize("url", ["redis://a:1/0", "rediss://a", "unix:///run/valkey.sock"])
def test_other_urls_are_of_a_single_server(url: str) -> None:
    assert cluster_url(url) is None


@pytest.mark.parametrize(
    "url", ["redis-cluster://", "redis-cluster://a:b", "redis-cluster://a:70000", "redis-cluster://u:p@"]
)
def test_a_url_without_a_usable_node_is_refused_at_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        load({"REDIS_URL": url})
