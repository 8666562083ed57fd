"""The delivery log over HTTP: filters, one delivery with its attempts, replay of one, many and a range, and its progress."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from loadtests.emulators.receiver import Receiver
from tests.integration.dashboard.people import person, readable, with_token
from tests.integration.dashboard.telling import deliver, happen, make_postback, template
from tests.integration.postbacks.scene import states
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool


@pytest.fixture
def settings() -> Settings:
    return Settings(egress_allow=("127.0.0.0/8",))


@pytest.fixture
async def buyer(owner: httpx.AsyncClient) -> httpx.AsyncClient:
    return await with_token(owner)


def rows(page: str) -> list[str]:
    """The rows of the log."""
    return re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2], re.DOTALL)


def destination(home: str) -> str:
    return home.rpartition("/")[2]


async def test_the_log_filters_by_what_a_person_looks_for(
    buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool
) -> None:
    assert "Nothing has been delivered yet" in (await buyer.get("/deliveries")).text
    receiver.mode("bad", "status", status=500)
    good = await make_postback(buyer, template(receiver, "good"), name="Good")
    bad = await make_postback(buyer, template(receiver, "bad"), name="Bad")
    await happen(pool, "evt-1", "evt-2")
    await deliver(pool)
    assert await states(pool) == {"delivered": 2, "dead": 2}
    today = datetime.now(UTC).date()
    for query, count in (
        ("", 4), ("?state=dead", 2), ("?state=delivered", 2), ("?state=waiting", 0), ("?state=nonsense", 4), (f"?destination={destination(good)}", 2),
        (f"?destination={destination(bad).lower()}&state=dead", 2), ("?event=evt-1", 2), ("?event=nobody", 0), (f"?from={today}", 4),
        (f"?from={today + timedelta(days=2)}", 0), (f"?to={today - timedelta(days=2)}", 0), ("?from=0001-01-01", 4), ("?to=9999-12-31", 4),
        ("?from=2026-02-31&to=x", 4), ("?from=0001-01-01&zone=Pacific/Auckland", 4), ("?destination=%00%ff", 0),
    ):  # fmt: skip
        answer = await buyer.get("/deliveries" + query)
        assert (answer.status_code, len(rows(answer.text))) == (200, count), query
    assert "Nothing fits these filters" in (await buyer.get("/deliveries?event=nobody")).text
    for query in ("?after=rubbish", "?after=%ED%A0%80"):
        assert (await buyer.get("/deliveries" + query)).status_code < 500
    await buyer.post(bad + "/state", data={"state": "deleted"})
    log = (await buyer.get("/deliveries")).text
    assert f'href="{good}"' in log
    assert len(rows(log)) == 2
    log = (await buyer.get(f"/deliveries?destination={destination(bad)}")).text  # its log stays, its page does not
    assert len(rows(log)) == 2
    assert f'href="{bad}"' not in log


async def test_the_log_goes_on_page_by_page(buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool) -> None:
    await make_postback(buyer, template(receiver))
    await happen(pool, *(f"evt-{number}" for number in range(60)))
    first = (await buyer.get("/deliveries")).text
    assert len(rows(first)) == 50
    older = html.unescape(re.findall(r'rel="next" href="([^"]+)"', first)[0])
    second = (await buyer.get(older)).text
    assert len(rows(second)) == 10
    names = re.findall(r'mono">(evt-\d+)<', first + second)
    assert len(set(names)) == 60


async def test_one_delivery_tells_each_attempt_without_secrets(
    buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool
) -> None:
    receiver.mode("a", "status", status=502, body="<script>alert('upstream')</script>", times=1)
    home = await make_postback(buyer, template(receiver, query="id={conversion_id}&token=hush-hush"))
    await happen(pool, "evt-1")
    await deliver(pool)
    page = (await buyer.get(f"/deliveries/{destination(home)}/evt-1")).text
    said = html.unescape(readable(page))
    assert page.index("Attempt 2") < page.index("Attempt 1")
    assert "502" in said
    assert "&lt;script&gt;alert(" in page
    assert "<script>alert" not in page
    assert "token=***" in said
    assert "hush-hush" not in page
    assert "Send again" not in said  # it was delivered
    for path in (f"/deliveries/{destination(home)}/nobody", "/deliveries/NOPE/evt-1", "/deliveries/%00/%ff"):
        assert (await buyer.get(path)).status_code in (400, 404)


async def test_replay_of_one_of_many_and_of_a_range(buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool) -> None:
    receiver.mode("a", "status", status=500)
    receiver.mode("b", "status", status=500)
    a = destination(await make_postback(buyer, template(receiver, "a"), name="A"))
    b = destination(await make_postback(buyer, template(receiver, "b"), name="B"))
    await happen(pool, *(f"evt-{number}" for number in range(6)))
    await deliver(pool)
    assert await states(pool) == {"dead": 12}
    page = (await buyer.get(f"/deliveries?destination={a}")).text
    assert "6 of this destination were given up." in readable(page)
    receiver.mode("a")
    receiver.mode("b")

    one = await buyer.post("/deliveries/replay", data={"delivery": f"{a}/evt-0"})
    progress = one.headers["location"]
    page = (await buyer.get(progress)).text
    assert "0 of 1 tried again" in readable(page)
    assert 'hx-trigger="every 1s"' in page
    await deliver(pool)
    page = (await buyer.get(progress)).text
    assert "1 of 1 tried again. Since the replay began 1 attempt was taken." in readable(page)
    assert "hx-trigger" not in page.partition('id="progress"')[2]

    many = await buyer.post("/deliveries/replay", data={"delivery": [f"{a}/evt-1", f"{a}/evt-2", f"{b}/evt-1"]})
    assert "0 of 3 tried again" in readable((await buyer.get(many.headers["location"])).text)
    await deliver(pool)
    assert await states(pool) == {"dead": 8, "delivered": 4}

    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    none = await buyer.post("/deliveries/replay", data={"destination": a, "since": tomorrow})
    assert "Nothing was to be sent again" in readable((await buyer.get(none.headers["location"])).text)
    await buyer.post("/deliveries/replay", data={"destination": a, "since": "", "until": tomorrow})
    await deliver(pool)
    assert await states(pool) == {"dead": 5, "delivered": 7}
    sent = [request.query for request in receiver.received("a")]
    assert sorted({query.partition("&")[0] for query in sent}) == [f"id=evt-{number}" for number in range(6)]
    again = await buyer.post("/deliveries/replay", data={"delivery": f"{a}/evt-0"})  # delivered: nothing happens
    assert again.headers["location"].partition("count=")[2].startswith("0")


async def test_a_replay_that_cannot_be_says_why(buyer: httpx.AsyncClient, receiver: Receiver, pool: Pool) -> None:
    receiver.mode("a", "status", status=410)
    home = await make_postback(buyer, template(receiver))
    await happen(pool, "evt-1")
    await deliver(pool)
    refused = await buyer.post("/deliveries/replay", data={"delivery": f"{destination(home)}/evt-1"})
    assert refused.status_code == 409
    assert "disabled" in readable(refused.text)
    receiver.mode("a")
    assert (await buyer.post(home + "/state", data={"state": "active"})).status_code == 303
    assert (await buyer.post("/deliveries/replay", data={"delivery": f"{destination(home)}/evt-1"})).status_code == 303
    for data, status in (
        ({}, 422), ({"delivery": "no-slash"}, 404), ({"delivery": "/"}, 404), ({"destination": destination(home), "since": "x"}, 422),
        ({"destination": destination(home), "since": "0001-01-01T00:00:00+14:00"}, 422), ({"destination": "NOPE"}, 404),
        ({"destination": destination(home), "until": "9999-12-31T23:59:59-14:00"}, 422),
    ):  # fmt: skip
        answer = await buyer.post("/deliveries/replay", data=data)
        assert answer.status_code == status, data
    for query in (
        "begun=x",
        "begun=0001-01-01T00:00:00%2B14:00",
        "count=-1&begun=%00",
        "destination=%00&count=9",
        "count=" + "9" * 30,
    ):
        assert (await buyer.get("/deliveries/progress?" + query)).status_code < 500, query


async def test_who_may_only_look_can_choose_nothing(
    buyer: httpx.AsyncClient, receiver: Receiver, services: Services, pool: Pool
) -> None:
    receiver.mode("a", "status", status=500)
    home = await make_postback(buyer, template(receiver))
    await happen(pool, "evt-1")
    await deliver(pool)
    viewer, _ = await person(services, "v@example.com", "viewer")
    paths = ("/deliveries", f"/deliveries?destination={destination(home)}", f"/deliveries/{destination(home)}/evt-1")
    for path in paths:
        assert re.search(r"<button[^>]*>Send", (await buyer.get(path)).text)
        page = (await viewer.get(path)).text
        assert not re.search(r"<button[^>]*>Send|checkbox", page), path
    assert (await viewer.post("/deliveries/replay", data={"destination": destination(home)})).status_code == 403
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    other, _ = await person(services, "o@example.com", "admin", team_id="t2")
    assert rows((await other.get("/deliveries")).text) == []
    assert (await other.get(paths[2])).status_code == 404
    assert (await other.post("/deliveries/replay", data={"delivery": f"{destination(home)}/evt-1"})).status_code == 404
    assert await states(pool) == {"dead": 1}
