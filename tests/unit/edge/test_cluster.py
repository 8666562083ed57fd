"""The map of a cluster, as nodes tell it."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest

from tracker.edge.claim import Library
from tracker.edge.cluster import ClusterPipeline, parse_slots, way_to
from tracker.edge.pipeline import Pipeline, Unavailable

ASKED = ("seed", 6379)


def test_slots_in_order_with_replicas_left_out() -> None:
    reply = [
        [8192, 16383, [b"10.0.0.2", 7002, b"id", []], [b"10.0.0.9", 7009, b"id", []]],
        [0, 8191, [b"10.0.0.1", 7001, b"id", []]],
    ]
    assert parse_slots(reply, ASKED) == [(0, 8191, ("10.0.0.1", 7001)), (8192, 16383, ("10.0.0.2", 7002))]


def test_a_node_without_an_address_has_the_one_it_was_asked_under_and_an_unknown_one_is_left_out() -> None:
    reply = [[0, 1, [b"", 7001]], [2, 3, [None, 7001]], [4, 5, [b"?", 7002]]]
    assert parse_slots(reply, ASKED) == [(0, 1, ("seed", 7001)), (2, 3, ("seed", 7001))]


@pytest.mark.parametrize("reply", [[], None, b"OK", [[1]], [[1, 2, b"x"]], [[0, 1, [b"?", 7002]]]])
def test_what_is_no_map_is_refused(reply: Any) -> None:
    with pytest.raises(Unavailable):
        parse_slots(reply, ASKED)


async def test_before_the_map_is_known_nothing_is_sent_and_it_is_said() -> None:
    way = way_to("redis-cluster://127.0.0.1:1", 100, Library())
    assert isinstance(way, ClusterPipeline)
    assert not way.up
    assert way.trouble == "the cluster has not been reached yet"
    assert not way.claim("{s0}:log", ("a", "b", "c", "c"), ("x", "", b""), lambda reply: None)
    assert way.submit(b"", "cb:links") is None
    assert not await way.refused(hiredis.ReplyError("MOVED 1 127.0.0.1:7001"), "{s0}:log")
    assert not await way.refused(hiredis.ReplyError("TRYAGAIN Multiple keys request"), "{s0}:log")
    await way.stop()


def test_one_server_needs_no_map() -> None:
    assert isinstance(way_to("redis://127.0.0.1:1/0", 100, Library()), Pipeline)
