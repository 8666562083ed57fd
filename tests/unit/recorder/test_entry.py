"""Decoding log entries: what is understood, what is set aside, and that nothing raises."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.clicklog import Visit
from tracker.recorder.entry import Entry, Reject, decode

ID = "01kay0smart00000000000000a"
OTHER = "01kay0smart00000000000000b"


def raw(**changes: bytes | None) -> dict[bytes, bytes]:
    visit = Visit(visit_id=ID, at_ms=1_795_300_000_000, smart_link_id="LINK", account_id="acct")
    values = {"r": msgspec.msgpack.encode(visit), "k": b"click", "c": ID.encode(), "v": b"vis", "y": b"cookie"}
    values |= {"m": b"12|https://example.com/a|b", "l": b"shared"}
    values |= {name: value for name, value in changes.items() if value is not None}
    return {name.encode(): value for name, value in values.items() if name not in changes or changes[name] is not None}


def test_an_entry() -> None:
    entry = decode(b"5-1", raw())
    assert isinstance(entry, Entry)
    assert (entry.entry_id, entry.kind, entry.click_id, entry.visitor, entry.visitor_by) == (
        "5-1",
        "click",
        ID,
        "vis",
        "cookie",
    )
    assert (entry.inventory_link_id, entry.lease, entry.spilled) == (12, "shared", False)
    spilled = decode(b"5-1", raw(s=b"1", c=ID.upper().encode()))
    assert isinstance(spilled, Entry)
    assert (spilled.spilled, spilled.click_id) == (True, ID)


def test_an_outcome_in_letters_says_what_the_words_say() -> None:
    member = b"12|https://example.com/a|b"
    for outcome, words in (
        (b"cce" + ID.encode() + OTHER.encode() + member, {"k": b"click", "y": b"cookie", "l": b"exclusive"}),
        (b"cnr" + ID.encode() + OTHER.encode() + member, {"k": b"click", "y": b"new", "l": b"reserve"}),
        (b"bnn" + ID.encode() + ID.encode(), {"k": b"bot", "y": b"new", "l": b"none", "v": ID.encode(), "m": b""}),
        (b"pcn" + ID.encode() + OTHER.encode(), {"k": b"prefetch", "l": b"none", "m": b""}),
        (b"dfs" + OTHER.encode() * 2 + member, {"k": b"duplicate", "c": OTHER.encode(), "y": b"fingerprint"}),
    ):
        in_words = decode(b"5-1", raw(**({"v": OTHER.encode()} | words)))
        assert isinstance(in_words, Entry)
        in_letters = decode(b"5-1", {b"r": raw()[b"r"], b"o": outcome})
        assert in_letters == in_words


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (b"", "unknown kind"),
        (b"x", "unknown kind"),
        (b"cx", "unknown way"),
        (b"cc", "unknown lease"),
        (b"cce" + b"8" * 26, "not ULIDs"),
        (b"cce" + ID.encode() + b"a\x00b", "NUL"),
        (b"cce" + ID.encode() + OTHER.encode() + b"x|y", "invalid literal"),
    ],
)
def test_a_wrong_outcome_says_why(outcome: bytes, reason: str) -> None:
    found = decode(b"7-0", {b"r": raw()[b"r"], b"o": outcome})
    assert isinstance(found, Reject)
    assert reason in found.reason


def test_a_bot_needs_little() -> None:
    entry = decode(b"5-1", raw(k=b"bot", c=b"", v=b"", y=b"", m=b"", l=None))
    assert isinstance(entry, Entry)
    assert (entry.click_id, entry.visitor, entry.visitor_by, entry.inventory_link_id, entry.lease) == (
        ID,
        ID,
        "new",
        None,
        "none",
    )


def test_a_duplicate_of_itself_is_the_click() -> None:
    entry = decode(b"5-1", raw(k=b"duplicate"))
    assert isinstance(entry, Entry)
    assert entry.kind == "click"
    later = decode(b"5-1", raw(k=b"duplicate", c=OTHER.encode()))
    assert isinstance(later, Entry)
    assert (later.kind, later.click_id) == ("duplicate", OTHER)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"r": None}, "missing"),
        ({"r": b"\xff"}, ""),
        ({"r": msgspec.msgpack.encode(["x"])}, "length"),
        ({"k": b"lead"}, "unknown kind"),
        ({"c": b"abc"}, "not ULIDs"),
        ({"c": b"8" + b"0" * 25}, "not ULIDs"),
        ({"c": OTHER.encode()}, "another click"),
        ({"c": b"\xff"}, "utf-8"),
        ({"v": b"x" * 300}, "too long"),
        ({"v": b"a\x00b"}, "NUL"),
        ({"y": b"guess"}, "unknown way"),
        ({"m": b"x|y"}, "invalid literal"),
        ({"m": b"0|y"}, "out of range"),
        ({"m": b"9223372036854775808|y"}, "out of range"),
        ({"l": b"forever"}, "unknown lease"),
    ],
)
def test_what_is_not_understood_says_why(changes: dict[str, bytes | None], reason: str) -> None:
    found = decode(b"7-0", raw(**changes))
    assert isinstance(found, Reject)
    assert found.entry_id == "7-0"
    assert reason in found.reason
    assert dict(msgspec.msgpack.decode(found.body)).keys() == raw(**changes).keys()


@given(
    st.dictionaries(
        st.sampled_from([b"r", b"k", b"c", b"v", b"y", b"m", b"l", b"s", b"o", b"x"]), st.binary(max_size=80)
    )
)
def test_nonsense_is_rejected_not_raised(fields: dict[bytes, bytes]) -> None:
    assert isinstance(decode(b"7-0", fields), Reject)


@given(st.binary(max_size=40), st.sampled_from("rkcvyml"))
def test_one_field_of_nonsense_never_raises(value: bytes, name: str) -> None:
    assert isinstance(decode(b"7-0", raw(**{name: value})), Entry | Reject)
