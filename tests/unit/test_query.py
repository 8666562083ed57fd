"""Reading queries: nothing raises, everything is capped, macros are absent; the edge's short look sees what the whole one does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.query import CAPS, MAX_PARAMETERS, OTHER_CAP, PARAMETERS, clean, is_clean, marks, parse_query


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
        assert clean(value) == value
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value)
        value.encode("utf-8")
    assert set(truncated) <= {*PARAMETERS, "other_params"}


PIECES = st.one_of(
    st.tuples(
        st.sampled_from([*PARAMETERS, "ScCid", "SCCID", "x", "", "ecid=", "Ecid", "sc%43id"]),
        st.one_of(
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
            st.sampled_from(["{clickid}", "__ID__", "_x", "a" * 600, "a" * 1100, "a+b", "%41", "%00", "%%ID%%", "[a]", "{a}b"]),
        ),
    ).map("=".join),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=12), st.integers(0, MAX_PARAMETERS + 5))
def test_the_marks_are_the_values_of_the_whole_query(pieces: list[str], before: int) -> None:
    query = "&".join(["p=1"] * before + pieces)
    assert is_clean(query.encode())
    assert list(marks(query)) == parse_query(query, [], False)[0][:5]
