"""Reading raw requests: nothing raises, everything is capped, macros are absent."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.edge import request
from tracker.edge.request import (
    CAPS,
    OTHER_CAP,
    PARAMETERS,
    fold_headers,
    is_clean,
    is_speculative,
    parse_cookies,
    parse_query,
)

VISITOR = "01k5zzzzzzzzzzzzzzzzzzzzzz"


def parsed(query: str) -> dict[str, str]:
    """The non-empty parameters of a query."""
    values, other = parse_query(query, [])
    found = {name: value for name, value in zip(PARAMETERS, values, strict=True) if value}
    return found | ({"other": other} if other else {})


def test_known_parameters_are_read_and_others_kept_as_they_came() -> None:
    assert parsed("ecid=a%20b&utm_source=x+y&aff_s5=5&foo=%41&bar&gbraid=g&fbclid=F") == {
        "ecid": "a b", "utm_source": "x y", "aff_s5": "5", "gbraid": "g", "fbclid": "F", "other": "foo=%41&bar",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ScCid", "sccid", "SCCID", "scCID", "Sc%43id"])
def test_sccid_in_any_case(name: str) -> None:
    assert parsed(f"{name}=s1") == {"sccid": "s1"}


@pytest.mark.parametrize("name", ["ECID", "Fbclid", "UTM_SOURCE"])
def test_other_names_are_taken_as_written(name: str) -> None:
    assert parsed(f"{name}=1") == {"other": f"{name}=1"}


@pytest.mark.parametrize("byte", range(256))
def test_clean_bytes_are_those_whose_text_is_printable(byte: int) -> None:
    assert is_clean(b"a=" + bytes([byte])) is (32 <= byte < 127)


def test_the_first_of_a_repeated_parameter_wins() -> None:
    assert parsed("ecid=first&ecid=second&ecid=") == {"ecid": "first"}


@pytest.mark.parametrize(
    "value",
    [
        "{clickid}", "{{ad.id}}", "__CLICKID__", "__CLICK_ID__", "${SUBID}", "[CLICK_ID]", "##click_id##", "%%CLICKID%%",
        "%%ADID%%", "%7Bclickid%7D", "%7B%7Bad.id%7D%7D", "{a}-{b}", "{{campaign.id}}_{{ad.id}}", "<clickid>", "%25%25ID%25%25",
    ],
)  # fmt: skip
def test_an_unexpanded_macro_is_no_click_id(value: str) -> None:
    for name in ("ecid", "fbclid", "ttclid", "ScCid", "gclid", "gbraid", "wbraid"):
        assert parsed(f"{name}={value}") == {}, name


def test_macros_in_utm_and_aff_are_kept() -> None:
    assert parsed("utm_campaign={{campaign.name}}&aff_s1=__AID__") == {
        "utm_campaign": "{{campaign.name}}", "aff_s1": "__AID__",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["_abc", "a{b}", "{broken", "__x", "%zz", "[1", "AQ__b__", "#1", "$5", "{a}b"])
def test_what_only_resembles_a_macro_is_a_value(value: str) -> None:
    assert parsed(f"ecid={value}") == {"ecid": value}


def test_control_characters_never_pass() -> None:
    assert parsed("ecid=a%00b%0d%0aSet-Cookie:x%7f%C2%85") == {"ecid": "abSet-Cookie:x"}
    assert parsed("ecid=%00") == {}
    assert parsed("x=\x00\ud800y") == {"other": "x=y"}


def test_long_values_are_cut_and_named() -> None:
    truncated: list[str] = []
    values, other = parse_query("ecid=" + "a" * 600 + "&fbclid=" + "%41" * 2000 + "&z=" + "b" * 5000, truncated)
    assert len(values[0]) == 512
    assert values[1] == "A" * 1024
    assert len(other) == OTHER_CAP
    assert truncated == ["ecid", "fbclid", "other_params"]


def test_only_a_hundred_parameters_are_looked_at() -> None:
    truncated: list[str] = []
    values, other = parse_query("&".join(f"p{n}=1" for n in range(10_000)) + "&ecid=late", truncated)
    assert values[0] == ""
    assert other.count("&") == 99
    assert truncated == ["other_params"]


queries = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.tuples(
            st.sampled_from([*PARAMETERS, "ScCid", "x", "", "%", "%00"]),
            st.one_of(st.text(max_size=40), st.sampled_from(["%", "%0", "%00", "%%A%%", "{a}", "\x00", "%ED%A0%80", "a" * 3000])),
        ),
        max_size=130,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "surrogatepass")),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(queries)
def test_any_bytes_give_clean_capped_values(raw: bytes) -> None:
    truncated: list[str] = []
    values, other = parse_query(raw.decode("utf-8", "replace"), truncated)
    if is_clean(raw):
        again: list[str] = []
        assert parse_query(raw.decode(), again, False) == (values, other)
        assert again == truncated
    assert len(values) == len(PARAMETERS)
    for value, cap in [*zip(values, CAPS, strict=True), (other, OTHER_CAP)]:
        assert len(value) <= cap
        assert request.clean(value) == value
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value)
        value.encode("utf-8")
    assert set(truncated) <= {*PARAMETERS, "other_params"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_cookie_header_is_read_without_harm(raw: bytes) -> None:
    truncated: list[str] = []
    visitor, platform = parse_cookies(b"cbv=" + raw, b"cbv", truncated)
    assert visitor == "" or len(visitor) == 26
    assert all(request.clean(value) == value and len(value) <= 512 for value in platform)


def test_cookies_are_read_and_a_visitor_must_look_like_ours() -> None:
    header = f"a=b; _fbp=fb.1.2; cbv=nonsense; _ttp=t; cbv={VISITOR}; _scid=s; _fbc=c".encode()
    assert parse_cookies(header, b"cbv", []) == (VISITOR, ["fb.1.2", "c", "t", "s"])
    assert parse_cookies(f"cbv={VISITOR.upper()}".encode(), b"cbv", [])[0] == ""
    assert parse_cookies(f"cbvx={VISITOR}".encode(), b"cbv", [])[0] == ""


def test_repeated_headers_keep_the_first_and_lists_are_joined() -> None:
    folded = fold_headers(
        [
            (b"user-agent", b"one"), (b"x-forwarded-for", b"1.1.1.1"), (b"user-agent", b"two"),
            (b"x-forwarded-for", b"2.2.2.2"), (b"cookie", b"a=1"), (b"cookie", b"b=2"),
        ]
    )  # fmt: skip
    assert folded == {b"user-agent": b"one", b"x-forwarded-for": b"1.1.1.1,2.2.2.2", b"cookie": b"a=1; b=2"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"sec-purpose", b"prefetch", True),
        (b"sec-purpose", b"prefetch;prerender", True),
        (b"sec-purpose", b"Prerender", True),
        (b"purpose", b"prefetch", True),
        (b"x-purpose", b"preview", True),
        (b"x-purpose", b"prefetch", True),
        (b"x-moz", b"prefetch", True),
        (b"sec-purpose", b"", False),
        (b"x-moz", b"other", False),
        (b"accept", b"prefetch", False),
    ],
)
def test_speculative_loads_are_known_by_their_headers(name: bytes, value: bytes, expected: bool) -> None:
    assert is_speculative({b"host": b"x", name: value}) is expected
