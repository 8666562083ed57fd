"""Templates: one pass, values encoded for where they stand, mistakes refused with their position."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.facts import SAMPLE, VARIABLES
from postbacks.templates import TemplateError, parse_form, parse_header, parse_json, parse_url, preview, render

# Everything a stranger can put into a value: text of all planes, and what means something in a URL, header or template.
hostile = st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.text(
    "{}%&=?#/\\.:;@+\r\n\t\x00 \"'abc_click_id"
)


@given(hostile, hostile)
def test_query_values_round_trip_and_make_no_parameters(click: str, name: str) -> None:
    url = render(
        parse_url("https://h.example/p?a={click_id}&b=x{fan_onlyfans_name}y&c=1"),
        {"click_id": click, "fan_onlyfans_name": name},
    )
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("a", click), ("b", f"x{name}y"), ("c", "1")]


@given(hostile)
def test_path_values_round_trip_and_make_no_segments(value: str) -> None:
    url = render(parse_url("https://h.example/a/{click_id}/b?q=1"), {"click_id": value})
    split = urlsplit(url)
    segments = split.path.split("/")
    assert (split.scheme, split.netloc, split.query, split.fragment) == ("https", "h.example", "q=1", "")
    assert (segments[:2], segments[3:]) == (["", "a"], ["b"])
    assert unquote(segments[2]) == ("" if value in (".", "..") else value)


@given(hostile, hostile)
def test_rendered_urls_are_plain_ascii(path: str, query: str) -> None:
    url = render(parse_url("https://h.example/{click_id}?{ttclid}=1"), {"click_id": path, "ttclid": query})
    assert all(33 <= ord(char) <= 126 for char in url)


@given(hostile)
def test_header_values_stay_one_line_and_round_trip(value: str) -> None:
    rendered = render(parse_header("Bearer {click_id}"), {"click_id": value})
    assert all(32 <= ord(char) <= 126 for char in rendered)
    assert unquote(rendered.removeprefix("Bearer ")) == value


@given(hostile, hostile)
def test_form_bodies_round_trip(one: str, two: str) -> None:
    body = render(parse_form("a={click_id}&b={ttclid}"), {"click_id": one, "ttclid": two})
    assert parse_qsl(body, keep_blank_values=True) == [("a", one), ("b", two)]


@given(hostile, hostile)
def test_json_values_round_trip_wherever_they_stand(inside: str, bare: str) -> None:
    template = parse_json('{"a": "<{click_id}>", "b": {ttclid}, "c": [{amount_net}, {"d": {country}}]}')
    sent = json.loads(render(template, {"click_id": inside, "ttclid": bare, "amount_net": "12.50"}))
    assert sent["a"] == f"<{inside}>"
    assert sent["c"] == [12.5, {"d": None}]
    assert str(sent["b"]) == bare or sent["b"] == bare or (bare == "" and sent["b"] is None) or float(bare) == sent["b"]


@given(st.sampled_from(sorted(VARIABLES)))
def test_values_are_never_expanded_again(name: str) -> None:
    value = "{" + name + "}"
    assert render(parse_url("https://h.example/?a={click_id}"), {"click_id": value, name: value}).endswith(
        "?a=%7B" + name + "%7D"
    )
    assert json.loads(render(parse_json('"{click_id}"'), {"click_id": value, name: value})) == value


@given(st.text(alphabet=st.sampled_from('{}abc/?#:@%. \\\n"_1é') | st.characters()))
def test_parsing_any_text_parses_or_says_where(text: str) -> None:
    for parse in (parse_url, parse_header, parse_form, parse_json):
        for source in (text, f"https://h.example/{text}"):
            refused = None
            rendered = ""
            try:
                rendered = render(parse(source), {})
            except TemplateError as error:
                refused = error
            assert isinstance(rendered, str)
            assert refused is None or (refused.message and 0 <= refused.position <= len(source))


def test_lone_surrogates_do_not_break_rendering() -> None:
    assert (
        render(parse_url("https://h.example/?a={click_id}"), {"click_id": "a\ud800b"}) == "https://h.example/?a=a%3Fb"
    )
    assert json.loads(render(parse_json('["{click_id}"]'), {"click_id": "\ud800"})) == ["\ud800"]


def test_absent_is_empty() -> None:
    assert render(parse_url("https://h.example/{click_id}/x?a={ttclid}&b="), {}) == "https://h.example//x?a=&b="


@pytest.mark.parametrize(
    "segment", ["{click_id}", "{click_id}.", ".{click_id}", "{click_id}{ttclid}", "%2e{click_id}", "{country}%2E%2e"]
)
def test_values_cannot_choose_another_path(segment: str) -> None:
    template = parse_url(f"https://h.example/keep/{segment}/x")
    assert render(template, {"click_id": ".", "ttclid": "."}) == "https://h.example/keep//x"


def test_literals_are_kept_as_written_and_made_ascii() -> None:
    source = "HTTPS://münchen.example:8443/a%2Fb/é;v=1?x=a|b&y[]=%zz&z={click_id}"
    expected = "https://xn--mnchen-3ya.example:8443/a%2Fb/%C3%A9;v=1?x=a%7Cb&y[]=%zz&z=1"
    assert render(parse_url(source), {"click_id": "1"}) == expected


def test_every_variable_of_the_contract_is_known() -> None:
    utm = [f"utm_{name}" for name in ("source", "medium", "campaign", "term", "content")]
    aff = [f"aff_s{number}" for number in range(1, 6)]
    clicks = ["click_id", "external_click_id", "fbclid", "gclid", "gbraid", "wbraid", "ttclid", "sccid", "country"]
    creator = ["ofapi_account_id", *(f"creator_onlyfans_{name}" for name in ("id", "username", "name"))]
    fan = [f"fan_onlyfans_{name}" for name in ("id", "username", "name")]
    conversion = ["conversion_type", "conversion_id", "conversion_at", "amount_gross", "amount_net"]
    rest = ["smart_link_id", "smart_link_name", "transaction_type", "transaction_description", "transaction_status"]
    contract = [*utm, *aff, *clicks, *creator, *fan, *conversion, *rest]
    assert sorted(contract) == sorted(VARIABLES)
    assert all(variable.doc and SAMPLE[name] for name, variable in VARIABLES.items())


def test_preview_shows_the_sample() -> None:
    assert preview(parse_url("https://h.example/?net={amount_net}&at={conversion_at}")) == (
        "https://h.example/?net=8.00&at=2026-01-31T13%3A37%3A00Z"
    )


@pytest.mark.parametrize(
    ("source", "position", "words"),
    [
        ("", 0, "empty"),
        ("example.com/x", 0, "must start with https:// or http://"),
        ("ftp://example.com/", 0, "must start with https:// or http://"),
        ("javascript://example.com/%0aalert(1)", 0, "must start with https:// or http://"),
        ("{click_id}://example.com/", 0, "cannot choose the scheme"),
        ("https://{click_id}/x", 8, "cannot stand in the host"),
        ("https://a.{country}.example/x", 10, "cannot stand in the host"),
        ("https://example.com:{click_id}/", 20, "cannot stand in the host or port"),
        ("https://{click_id}:x@example.com/", 8, "cannot stand in the user info"),
        ("https://user:pass@example.com/", 8, "Authorization header"),
        ("https://example.com:99999/", 20, "port must be"),
        ("https://example.com:/", 20, "port must be"),
        ("https:///x", 8, "no host"),
        ("https://exa mple.com/", 11, "a space"),
        ("https://-bad-.com/", 8, "not a host name"),
        ("https://exa<mple.com/", 8, "not a host name"),
        ("https://example.com/a\\b", 21, "backslash"),
        ("https://example.com/a\nb", 21, "control character U+000A"),
        ("https://example.com/a\r\nX: y", 21, "control character U+000D"),
        ("https://example.com/\x00", 20, "control character U+0000"),
        ("https://example.com/x#frag", 21, "fragment"),
        ("https://example.com/../x", 19, "path segments"),
        ("https://example.com/a/%2e%2E/x", 21, "path segments"),
        ("https://example.com/?a={clickid}", 23, "unknown variable {clickid}: did you mean {click_id}?"),
        ("https://example.com/?a={zzz}", 23, "unknown variable {zzz}: see the list"),
        ("https://example.com/?a={click_id", 23, "unbalanced brace"),
        ("https://example.com/?a=click_id}", 31, "unbalanced brace"),
        ("https://example.com/?a={{click_id}}", 23, "unbalanced brace"),
        ("https://example.com/?a={}", 23, "unbalanced brace"),
        ("https://example.com/?a=${click_id}}", 34, "unbalanced brace"),
        (" https://example.com/", 0, "a space"),
        ("https://example.com/" + "x" * 9000, 8192, "longer than"),
    ],
)
def test_url_refusals_name_the_position_and_the_fix(source: str, position: int, words: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_url(source)
    assert words in refused.value.message
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("source", "position", "words"),
    [
        ("", 0, "Expecting value"),
        ('{"a": {click_id}', 16, "Expecting"),
        ('{"a": "{nope}"}', 7, "unknown variable"),
        ('{"a": "{ x }"}', 7, "\\u007b"),
        ("{{click_id}: 1}", 1, "not valid JSON"),
        ('{"a": 1{click_id}}', 7, "not valid JSON"),
        ('{"a": NaN}', 0, "NaN"),
        ('{"a": "b" "c"}', 10, "not valid JSON"),
    ],
)
def test_json_refusals(source: str, position: int, words: str) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_json(source)
    assert words in refused.value.message
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("source", "position"), [("a\r\nb", 1), ("é", 0), (" a", 0), ("a ", 1), ("a{nope}", 1), ("a{", 1)]
)
def test_header_refusals(source: str, position: int) -> None:
    with pytest.raises(TemplateError) as refused:
        parse_header(source)
    assert refused.value.position == position


def test_ascii_is_quoted_as_the_standard_library_does() -> None:
    everything = "".join(map(chr, range(128)))
    rendered = render(parse_url("https://h.example/?v={click_id}"), {"click_id": everything})
    assert rendered == "https://h.example/?v=" + quote(everything, safe="")
