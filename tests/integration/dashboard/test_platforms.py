"""Ad platform pages over HTTP, against emulators that enforce the platforms' real rules."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from loadtests.emulators.adplatforms import AdPlatforms, running_adplatforms
from tests.integration.dashboard.people import person, readable, with_token
from tests.integration.dashboard.telling import wrong
from tracker.dashboard.kinds import FORMS
from tracker.management.connections import KINDS
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool

TOKEN = "test-token"
PIXELS = {"meta": "123456789012345", "tiktok": "C4ABCDEF1234567890", "snapchat": "0d7a4bb6-5a2e-4c3d"}
PART = {"hx-request": "true"}


@pytest.fixture
async def ads() -> AsyncIterator[AdPlatforms]:
    async with running_adplatforms() as running:
        yield running


@pytest.fixture
def settings(ads: AdPlatforms) -> Settings:
    urls = {f"{name}_url": ads.url_of(name) for name in (*PIXELS, "creatortraffic", "onlyautomator")}
    return msgspec.structs.replace(Settings(egress_allow=("127.0.0.0/8",)), **urls)


@pytest.fixture
async def buyer(owner: httpx.AsyncClient) -> httpx.AsyncClient:
    return await with_token(owner)


def fields(kind: str, **changes: Any) -> dict[str, Any]:
    """A connection's form, filled."""
    wish: dict[str, Any] = {"name": f"My {kind}", "token": TOKEN, "smart_link_scope": "global"}
    if kind in PIXELS:
        wish["config.pixel_id"] = PIXELS[kind]
    return wish | changes


async def connect(buyer: httpx.AsyncClient, kind: str, **changes: Any) -> str:
    answer = await buyer.post(f"/platforms/new/{kind}", data=fields(kind, **changes))
    if answer.status_code != 303:
        pytest.fail(html.unescape(readable(answer.text)))
    return str(answer.headers["location"].partition("?")[0])


async def test_every_kind_can_be_chosen_and_has_its_form(buyer: httpx.AsyncClient) -> None:
    assert set(FORMS) == set(KINDS)
    assert "No ad platform is connected yet" in (await buyer.get("/platforms")).text
    choice = (await buyer.get("/platforms/new")).text
    for kind, shape in FORMS.items():
        assert f'href="/platforms/new/{kind}"' in choice
        form = (await buyer.get(f"/platforms/new/{kind}")).text
        for step in shape.steps:
            assert step in html.unescape(form)
        for field in shape.fields:
            assert f'name="config.{field.name}"' in form
    assert (await buyer.get("/platforms/new/myspace")).status_code == 404
    assert (await buyer.post("/platforms/new/myspace", data={})).status_code == 404


@pytest.mark.parametrize("kind", PIXELS)
async def test_a_pixel_is_connected_and_its_test_answered_by_the_platform(
    buyer: httpx.AsyncClient, ads: AdPlatforms, pool: Pool, kind: str
) -> None:
    home = await connect(buyer, kind)
    page = (await buyer.get(home + "?saved=1")).text
    assert "Send a test event below" in page
    assert TOKEN not in page + (await buyer.get(home + "/edit")).text
    assert "no events in the last 7 days" in page
    wish = {"event": "new_subscriber", "test_event_code": "TEST12345"}
    answer = await buyer.post(home + "/test", data=wish, headers=PART)
    assert "<strong>Taken</strong>" in answer.text, html.unescape(readable(answer.text))
    assert TOKEN not in answer.text
    assert ads.violations(kind) == []
    ads.mode(kind, "status", status=400, body='{"error": {"message": "<img src=x onerror=alert(1)>"}}')
    refused = await buyer.post(home + "/test", data=wish, headers=PART)
    assert "<strong>Not taken</strong>" in refused.text
    assert "<img" not in refused.text


async def test_meta_and_tiktok_want_the_code_of_their_test_page(buyer: httpx.AsyncClient, ads: AdPlatforms) -> None:
    for kind in ("meta", "tiktok"):
        home = await connect(buyer, kind)
        answer = await buyer.post(home + "/test", data={"event": "new_subscriber"}, headers=PART)
        assert answer.status_code == 200
        assert 'role="alert"' in answer.text
        assert "Copy the code" in html.unescape(answer.text)
        assert ads.requests(kind) == []
    assert (await buyer.post(home + "/test", data={"event": "nonsense"}, headers=PART)).status_code == 422


MISTAKES: tuple[tuple[Any, ...], ...] = (
    ("meta", {"token": ""}, "token", "Paste the access token"),
    ("meta", {"token": "two words"}, "token", "copy it again"),
    ("meta", {"config.pixel_id": ""}, "config.pixel_id", "is needed"),
    ("meta", {"config.pixel_id": "12"}, "config.pixel_id", "is a number"),
    ("meta", {"events.new_subscriber": "Subscribd"}, "config.events.new_subscriber", "did you mean Subscribe"),
    ("meta", {"events.new_subscriber": "custom"}, "config.events.new_subscriber", "1 to 50 characters"),
    ("snapchat", {"events.click": "custom", "custom.click": "MINE"}, "config.events.click", "no free event names"),
    ("tiktok", {"smart_link_scope": "campaign_specific"}, "smart_link_ids", "at least one smart link"),
    ("tiktok", {"smart_link_scope": "?"}, "smart_link_scope", "every smart link or some"),
    ("tiktok", {"name": "x" * 256}, "name", "at most 255"),
    ("creatortraffic", {"config.path": "evil.example"}, "config.path", "a path starts with"),
    ("onlyfans_note", {"config.account_id": "acct_1", "config.text": "{nope}"}, "config.text", "at position 1"),
)


async def test_a_mistake_stands_at_its_field_and_connects_nothing(buyer: httpx.AsyncClient, pool: Pool) -> None:
    for kind, changes, field, words in MISTAKES:
        answer = await buyer.post(f"/platforms/new/{kind}", data=fields(kind, **changes))
        assert answer.status_code == 422
        found = {name: html.unescape(text) for name, text in wrong(answer.text).items()}
        assert words in found.get(field, ""), found
        assert TOKEN not in answer.text
        assert await pool.fetchval("SELECT count(*) FROM destinations") == 0


async def test_a_connection_is_changed_paused_and_deleted_and_keeps_its_token(
    buyer: httpx.AsyncClient, ads: AdPlatforms, pool: Pool
) -> None:
    home = await connect(buyer, "meta")
    events = {"events.new_subscriber": "custom", "custom.new_subscriber": "NewFan", "events.first_purchase": "off"}
    changed = fields("meta", token="", name="Renamed", **events)
    assert (await buyer.post(home + "/edit", data=changed)).status_code == 303
    page = readable((await buyer.get(home)).text)
    assert "Renamed" in page
    assert "NewFan (custom)" in page
    assert 'value="NewFan"' in (await buyer.get(home + "/edit")).text
    wish = {"event": "new_subscriber", "test_event_code": "TEST12345"}
    assert "<strong>Taken</strong>" in (await buyer.post(home + "/test", data=wish, headers=PART)).text
    assert '<option value="first_purchase">' not in (await buyer.get(home)).text
    for state, shown in (("paused", "Resume"), ("active", "Pause")):
        assert (await buyer.post(home + "/state", data={"state": state})).headers["location"] == home
        assert f"<button>{shown}</button>" in (await buyer.get(home)).text
    assert (await buyer.post(home + "/state", data={"state": "x"})).status_code == 422
    gone = await buyer.post(home + "/state", data={"state": "deleted"})
    assert gone.headers["location"] == "/platforms?gone=" + home.rpartition("/")[2]
    assert (await buyer.get(home)).status_code == 404


async def test_roles_and_other_teams(buyer: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    home = await connect(buyer, "meta")
    viewer, _ = await person(services, "v@example.com", "viewer")
    page = (await viewer.get(home)).text
    for action in ("/edit", "/state", "/test"):
        assert home + action not in page
        assert (await viewer.post(home + action, data={"state": "deleted"})).status_code == 403
    assert "/platforms/new" not in (await viewer.get("/platforms")).text
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    other, _ = await person(services, "o@example.com", "admin", team_id="t2")
    for path in ("", "/edit"):
        assert (await other.get(home + path)).status_code == 404
    for path in ("/edit", "/state", "/test"):
        answer = await other.post(home + path, data={**fields("meta"), "state": "deleted", "event": "new_subscriber"})
        assert answer.status_code == 404
    assert (await buyer.get(home.replace("/platforms/", "/postbacks/"))).status_code == 404
