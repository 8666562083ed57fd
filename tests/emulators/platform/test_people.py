"""Fans, notes, lists and chats over REST (upstream spec 1.5, 1.6)."""

from __future__ import annotations

from loadtests.emulators.platform import Platform

from .conftest import Api

ROOT = "/api/acct_madison"


async def subscribed(api: Api, count: int = 1) -> list[int]:
    """New organic fans of madison."""
    return [(await api.post("/__admin/fans/subscribe", account_id="acct_madison"))["fan_id"] for _ in range(count)]


async def test_latest_and_active_fans(api: Api) -> None:
    first, second = await subscribed(api, 2)
    await api.post("/__admin/fans/renew", account_id="acct_madison", fan_id=first)
    latest = (await api.get(f"{ROOT}/fans/latest", type="total"))["data"]
    assert [user["id"] for user in latest["users"]] == [first, second]
    renewed = (await api.get(f"{ROOT}/fans/latest", type="renew"))["data"]["users"]
    assert [user["id"] for user in renewed] == [first]
    assert renewed[0]["subscribedOnData"]["renewedAt"] is not None
    await api.post("/__admin/fans/expire", account_id="acct_madison", fan_id=second)
    assert [user["id"] for user in (await api.get(f"{ROOT}/fans/active"))["data"]["list"]] == [first]
    gone = (await api.get(f"{ROOT}/users/u{second}"))["data"]
    assert (gone["subscribedOn"], gone["subscribedOnExpiredNow"]) == (False, True)
    assert len((await api.get(f"{ROOT}/fans/{first}/subscriptions-history"))["data"]["list"]) == 2


async def test_notes_replace_each_other(api: Api) -> None:
    (fan,) = await subscribed(api)
    assert (await api.call("PUT", f"{ROOT}/fans/{fan}/notes", {"notes": "one"}))[1]["data"]["notice"] == "one"
    await api.call("PUT", f"{ROOT}/fans/{fan}/notes", {"notes": "two"})
    assert (await api.get(f"{ROOT}/fans/{fan}/notes"))["data"] == {"notes": "two"}
    assert (await api.call("DELETE", f"{ROOT}/fans/{fan}/notes"))[1]["data"]["notice"] == ""
    assert (await api.call("PUT", f"{ROOT}/fans/1/notes", {"notes": "x"}))[0] == 404


async def test_list_adds_with_and_without_skipping_invalid(api: Api) -> None:
    one, two = await subscribed(api, 2)
    made = (await api.post(f"{ROOT}/user-lists", name="From smart link"))["data"]
    assert isinstance(made["id"], int)
    users = f"{ROOT}/user-lists/{made['id']}/users"
    assert (await api.post(users, ids=[str(one)]))["data"] == {str(made["id"]): [one]}
    status, body = await api.call("POST", users, {"ids": [str(two), "999"]})
    assert (status, body["error"]) == (400, "ONLYFANS_COM_ERROR")
    skipped = (await api.post(users, ids=[str(two), "999"], skip_invalid=True))["data"]
    assert skipped == {"added": [two], "failed": {"999": "User not found"}}
    assert [user["id"] for user in (await api.get(users))["data"]["list"]] == [one, two]
    own = [row for row in (await api.get(f"{ROOT}/user-lists"))["data"] if row["id"] == str(made["id"])]
    assert own[0]["usersCount"] == 2
    _, removed = await api.call("DELETE", f"{users}/{one}")
    assert removed["data"]["userState"]["hasUser"] is False
    assert [user["id"] for user in (await api.get(users))["data"]["list"]] == [two]


async def test_chat_pages_repeat_the_cursor_row(platform: Platform, api: Api) -> None:
    (fan,) = await subscribed(api)
    for number in range(5):
        await api.post("/__admin/fans/message", account_id="acct_madison", fan_id=fan, text=f"m{number} <b>")
    first = await api.get(f"{ROOT}/chats/{fan}/messages", limit=3)
    assert [row["text"] for row in first["data"]] == [f"<p>m{n} &lt;b&gt;</p>" for n in (4, 3, 2)]
    assert first["data"][0]["fromUser"]["id"] == fan
    second = await api.get(first["_pagination"]["next_page"])
    assert second["data"][0]["id"] == first["data"][-1]["id"]
    assert [row["text"][3:5] for row in second["data"]] == ["m2", "m1", "m0"]
    assert second["_pagination"]["next_page"] is None
    upward = await api.get(f"{ROOT}/chats/{fan}/messages", order="asc", limit=2)
    assert [row["text"][3:5] for row in upward["data"]] == ["m0", "m1"]


async def test_sending_is_idempotent_by_key(api: Api) -> None:
    (fan,) = await subscribed(api)
    path = f"{ROOT}/chats/{fan}/messages"
    headers = {"Idempotency-Key": "k1"}
    first = await api.client.post(path, json={"text": "welcome"}, headers=headers)
    again = await api.client.post(path, json={"text": "welcome"}, headers=headers)
    assert first.json()["data"] == again.json()["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    clash = await api.client.post(path, json={"text": "other"}, headers=headers)
    assert (clash.status_code, clash.json()["error"]) == (409, "IDEMPOTENCY_CONFLICT")
    (row,) = (await api.get(path))["data"]
    assert row["isSentByMe"] is True
    assert (await api.call("POST", path, {"text": "x", "price": 2}))[0] == 422
