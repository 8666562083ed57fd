"""Postback pages over HTTP: every mistake at its field, the preview, the palette, tests really sent, and who may do what."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest

from loadtests.emulators.receiver import Receiver
from postbacks.destinations.networks import PRESETS
from postbacks.facts import VARIABLES
from tests.integration.dashboard.people import person, readable, with_token
from tests.integration.dashboard.telling import deliver, fields, happen, make_postback, template, wrong
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool


@pytest.fixture
def settings() -> Settings:
    return Settings(egress_allow=("127.0.0.0/8",))


@pytest.fixture
async def buyer(owner: httpx.AsyncClient) -> httpx.AsyncClient:
    return await with_token(owner)


MISTAKES: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"url": ""}, "url", "Paste the address"),
    ({"url": "https://h.example/?a={nope}"}, "url", "at position 21"),
    ({"url": "javascript:alert(1)"}, "url", "http"),
    ({"url": "https://h.example/<offer_id>"}, "url", "in place of <offer_id>"),
    ({"url": "https://h.example/", "http_method": "PATCH"}, "http_method", "GET or POST"),
    ({"url": "https://h.example/", "http_method": "POST", "body": '{"a": {nope}}'}, "body", "at position"),
    ({"url": "https://h.example/", "headers": "no colon here"}, "headers", "Name: value"),
    ({"url": "https://h.example/", "headers": "Host: evil"}, "headers", "set by Clickbind itself"),
    ({"url": "https://h.example/", "headers": "X-A: {nope}"}, "headers", "X-A: "),
    ({"url": "https://h.example/", "headers": "X-A: 1\nx-a: 2"}, "headers", "once"),
    ({"url": "https://h.example/", "conversion_types": []}, "conversion_types", "at least one"),
    ({"url": "https://h.example/", "conversion_types": ["a_nonsense"]}, "conversion_types", "at least one"),
    ({"url": "https://h.example/", "smart_link_scope": "campaign_specific"}, "smart_link_ids", "at least one smart link"),
    ({"url": "https://h.example/", "smart_link_scope": "campaign_specific", "smart_link_ids": ["SL9"]}, "smart_link_ids", "not your team"),
    ({"url": "https://h.example/", "smart_link_scope": "x"}, "smart_link_scope", "every smart link or some"),
    ({"url": "https://h.example/", "name": "x" * 256}, "name", "at most 255"),
)  # fmt: skip


async def test_a_mistake_stands_at_its_field_and_nothing_is_made(buyer: httpx.AsyncClient, pool: Pool) -> None:
    for changes, field, words in MISTAKES:
        answer = await buyer.post("/postbacks/new", data=fields(**changes))
        assert answer.status_code == 422
        found = {name: html.unescape(text) for name, text in wrong(answer.text).items()}
        assert words in found.get(field, ""), found
        assert f"{field}-wrong" in "".join(re.findall(r'aria-describedby="([^"]*)"', answer.text))
        assert html.escape(changes.get("url", "")).replace("&#x27;", "&#39;") in answer.text
        assert await pool.fetchval("SELECT count(*) FROM destinations") == 0


async def test_the_form_offers_every_variable_and_every_network(buyer: httpx.AsyncClient) -> None:
    page = (await buyer.get("/postbacks/new")).text
    assert set(re.findall(r'data-variable="([^"]+)"', page)) == set(VARIABLES)
    for preset in PRESETS.values():
        assert f"/postbacks/new?preset={preset.name}" in page
        filled = html.unescape((await buyer.get(f"/postbacks/new?preset={preset.name}")).text)
        assert preset.url in filled
        assert f"ecid={preset.macro}" in filled
        for blank in preset.fields:
            assert f"<{blank}>" in filled
    assert (await buyer.get("/postbacks/new?preset=nobody")).status_code == 200


async def test_the_preview_says_what_will_be_sent(buyer: httpx.AsyncClient) -> None:
    async def preview(**changes: str) -> str:
        answer = await buyer.post("/postbacks/preview", data={"http_method": "GET", **changes})
        assert answer.status_code == 200
        return html.unescape(answer.text)

    assert "GET https://h.example/?id=01jd8z6h3n5p7r9t1v2x4y6z8b" in await preview(
        url="https://h.example/?id={click_id}"
    )
    said = await preview(url="https://h.example/?id={click_id")
    assert '<span class="muted">https://h.example/?id=</span><mark>{</mark>' in said
    said = await preview(url="https://h.example/", http_method="POST", body='{"net": {amount_net}, "x": "{nope}"}')
    assert "<strong>Body</strong>" in said
    assert "POST https://h.example/" in said
    assert "in place of <zone>" in await preview(url="https://h.example/<zone>")
    assert "Write an address" in await preview()
    assert "<script>" not in (await buyer.post("/postbacks/preview", data={"url": "https://h.example/<script>{x"})).text


async def test_a_postback_is_made_tested_changed_paused_resumed_and_deleted(
    buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool
) -> None:
    home = await make_postback(buyer, template(receiver), headers="X-Kind: {conversion_type}")
    page = readable((await buyer.get(home + "?saved=1")).text)
    assert "Saved." in page
    assert "Quiet: nothing to send." in page
    receiver.mode("a", "status", status=418, body="I am a <b>teapot</b>")
    answer = await buyer.post(
        home + "/test", data={"event": "first_purchase", "external_click_id": "mine"}, headers={"hx-request": "true"}
    )
    assert "<html" not in answer.text
    assert "<strong>Not taken</strong>: 418" in answer.text
    assert "I am a &lt;b&gt;teapot&lt;/b&gt;" in answer.text
    plain = await buyer.post(home + "/test", data={"event": "new_subscriber"})  # without scripts: a whole page
    assert f'<a href="{home}">Back</a>' in plain.text
    assert len(receiver.received("a")) == 2
    assert receiver.received("a")[0].headers["X-Kind"] == "new_transaction"
    assert (await buyer.post(home + "/test", data={"event": "nonsense"})).status_code == 422

    edit = (await buyer.get(home + "/edit")).text
    assert "X-Kind: {conversion_type}" in edit
    changed = fields(url=template(receiver, "b"), name="Other", conversion_types=["new_subscriber"])
    assert (await buyer.post(home + "/edit", data=changed)).status_code == 303
    assert (await buyer.post(home + "/edit", data=fields(url="https://h.example/{nope}"))).status_code == 422
    row = await pool.fetchrow("SELECT name, config, event_types FROM destinations")
    assert row is not None
    assert (row["name"], row["config"]["url"], row["config"]["headers"]) == ("Other", template(receiver, "b"), {})
    for state, shown in (("paused", "Resume"), ("active", "Pause")):
        assert (await buyer.post(home + "/state", data={"state": state})).headers["location"] == home
        assert f"<button>{shown}</button>" in (await buyer.get(home)).text
    assert (await buyer.post(home + "/state", data={"state": "sold"})).status_code == 422
    gone = await buyer.post(home + "/state", data={"state": "deleted"})
    assert gone.headers["location"] == "/postbacks?gone=" + home.rpartition("/")[2]
    assert (
        f'href="/deliveries?destination={home.rpartition("/")[2]}"' in (await buyer.get(gone.headers["location"])).text
    )
    assert (await buyer.get(home)).status_code == 404
    assert "Nobody is told of conversions" in (await buyer.get("/postbacks")).text


async def test_the_list_says_how_each_fares(buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool) -> None:
    receiver.mode("bad", "status", status=503)
    await make_postback(buyer, template(receiver, "good"), name="Good one")
    await make_postback(buyer, template(receiver, "bad"), name="Bad <i>one</i>")
    await happen(pool, "evt-1")
    await deliver(pool)
    page = (await buyer.get("/postbacks")).text
    assert "well: 1 delivered in the last 24 hours" in page
    assert re.search(r"failing since [0-9: -]+: 503", page)
    assert "Bad &lt;i&gt;one&lt;/i&gt;" in page
    found = (await buyer.get("/postbacks?search=GOOD")).text
    assert "Bad" not in found
    assert "No postback fits this search" in (await buyer.get("/postbacks?search=zzz")).text


async def test_roles_see_and_do_what_is_theirs(
    buyer: httpx.AsyncClient, receiver: Receiver, services: Services, pool: Pool
) -> None:
    home = await make_postback(buyer, template(receiver))
    await happen(pool, "evt-1")
    await deliver(pool)
    viewer, _ = await person(services, "v@example.com", "viewer")
    page = (await viewer.get(home)).text
    assert "Newest deliveries" in page
    for action in ("/edit", "/state", "/test"):
        assert home + action not in page
    assert "/postbacks/new" not in (await viewer.get("/postbacks")).text
    for path in ("/test", "/state", "/edit"):
        assert (await viewer.post(home + path, data={"state": "deleted"})).status_code == 403
    narrow, _ = await person(services, "n@example.com", "custom", ["postbacks.view"])
    page = (await narrow.get(home)).text
    assert "Newest deliveries" not in page
    assert "delivered in the last" not in page + (await narrow.get("/postbacks")).text
    assert (await narrow.get("/deliveries")).status_code == 403
    assert len(receiver.received("a")) == 1


async def test_what_is_not_there_is_a_page_that_says_so(
    buyer: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    other, _ = await person(services, "o@example.com", "admin", team_id="t2")
    theirs = await make_postback(other, "https://secret.example/")
    for path in (
        theirs,
        theirs + "/edit",
        "/postbacks/0",
        "/postbacks/%F0%9F%92%A9",
        "/postbacks/NOPE/edit",
        "/postbacks/" + "9" * 400,
    ):
        answer = await buyer.get(path)
        assert (answer.status_code, "There is nothing here" in answer.text) == (404, True), path
        assert "secret.example" not in answer.text
    for path in ("/test", "/state", "/edit"):
        assert (
            await buyer.post(theirs + path, data={"state": "deleted", "event": "new_subscriber"})
        ).status_code == 404
    assert await pool.fetchval("SELECT state FROM destinations") == "active"
