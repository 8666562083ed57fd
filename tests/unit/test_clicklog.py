"""A visit in the click log is the same whichever way the edge wrote it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.clicklog import EdgeLink, PlainVisit, Visit, read_visit
from tracker.edge.client import ClientAddresses
from tracker.edge.request import LANDING_CAP
from tracker.edge.visit import VisitReader
from tracker.query import PARAMETERS, parse_query

LINK = EdgeLink("01K5AAAAAAAAAAAAAAAAAAAAAA", "acct", 0, "tracking", 1000, "active", "https://onlyfans.com/c")
VISIT_ID, NOW = "01k5bbbbbbbbbbbbbbbbbbbbbb", 1_750_000_000_000
AGENT = b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 Instagram 330.0"
HEADERS = {
    b"user-agent": AGENT,
    b"referer": b"https://l.instagram.com/",
    b"accept-language": b"de",
    b"cookie": b"_fbp=fb.1.2.3; _ttp=t",
}


def logged(query: bytes, headers: dict[bytes, bytes] = HEADERS) -> tuple[bytes, Visit]:
    """A visit as the edge writes it and as the recorder reads it."""
    reader = VisitReader(ClientAddresses(()), "cbv", "https://go.example.com")
    request, found, _, _, reason = reader.read(reader.peer(("203.0.113.7", 1)), query, headers, LINK, VISIT_ID, NOW)
    visit = read_visit(request)
    assert list(found) == [getattr(visit, name) for name in PARAMETERS[:5]]
    assert reason == visit.bot_reason
    return request, visit


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.tuples(
                st.sampled_from([*PARAMETERS, "ScCid", "x", ""]), st.text(st.characters(max_codepoint=400), max_size=30)
            ).map("=".join),
            max_size=8,
        ).map(lambda pieces: "&".join(pieces).encode()),
        st.integers(1900, 2200).map(lambda size: b"ecid=1&q=" + b"a" * size),
        st.integers(500, 530).map(lambda size: b"utm_term=" + b"a" * size),
    )
)
def test_what_the_recorder_reads_is_what_the_query_says(query: bytes) -> None:
    text = query.decode("utf-8", "replace")
    truncated: list[str] = []
    values, other = parse_query(text, truncated)
    _, visit = logged(query)
    assert [getattr(visit, name) for name in PARAMETERS] == values
    assert visit.other_params == other
    assert set(visit.truncated) - {"landing_url"} == set(truncated)
    assert ("landing_url" in visit.truncated) is (len("https://go.example.com/go/?") + 26 + len(text) > LANDING_CAP)
    assert visit.landing_url.startswith("https://go.example.com/go/01K5AAAAAAAAAAAAAAAAAAAAAA")
    assert (visit.user_agent, visit.referrer, visit.accept_language) == (
        AGENT.decode(),
        "https://l.instagram.com/",
        "de",
    )
    assert (visit.visit_id, visit.at_ms, visit.ip, visit.fbp, visit.ttp) == (
        VISIT_ID,
        NOW,
        "203.0.113.7",
        "fb.1.2.3",
        "t",
    )


def test_plain_visits_are_told_from_whole_ones() -> None:
    raw, visit = logged(b"ecid=a%20b&utm_source=x")
    assert isinstance(msgspec.msgpack.decode(raw, type=PlainVisit), PlainVisit)
    assert (visit.ecid, visit.utm_source) == ("a b", "x")
    raw, visit = logged(b"ecid=%C3%A9", HEADERS | {b"accept-language": b"x" * 300})
    assert msgspec.msgpack.decode(raw, type=Visit) == visit
    assert (visit.ecid, visit.truncated) == ("\u00e9", ("accept_language",))
    assert len(Visit.__struct_fields__) > 15 >= len(PlainVisit.__struct_fields__)


@pytest.mark.parametrize("raw", [b"", b"\x9f", b"\x91\x01", b"\xc1", b"\xdc\x00", b"nonsense"])
def test_what_is_no_visit_is_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_visit(raw)
