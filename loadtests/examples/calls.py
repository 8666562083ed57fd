"""Every call there is, in an order in which each finds what it needs. The stage has been played."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import asyncpg

from loadtests.examples.recorder import Recorder
from loadtests.examples.stage import ExampleStage
from tracker.access import first_run
from tracker.secrets import installation_secrets

LINK = "/api/smart-links/{smart_link_id}"
POSTBACK = "/api/smart-link-postbacks/{postback_id}"
CONNECTION = "/api/connections/{connection_id}"
ACCOUNT = "/api/connected-accounts/{account_id}"
MEMBER = "/api/team/members/{user_id}"
KEY = "/api/api-keys/{api_key_id}"
WEBHOOK = "/api/webhooks/{webhook_id}"
WEBHOOK_SECRET = "a secret for webhooks only, 32 long"
PASSWORD, NEW_PASSWORD = "correct horse battery", "a longer battery staple"


async def make_calls(stage: ExampleStage, database: asyncpg.Connection[Any], recorder: Recorder) -> None:
    """Make and keep them all. Raises RuntimeError at the first that fails."""
    await _people(stage, recorder)
    await _reading(stage, database, recorder)
    await _links(stage, recorder)
    await _inventory(stage, recorder)
    event = await _postbacks(stage, recorder)
    await _connections(stage, database, recorder, event)
    await _webhooks(stage, recorder)
    await _accounts(stage, recorder)
    await _erasures(database, recorder)
    await _leaving(recorder)


async def _people(stage: ExampleStage, recorder: Recorder) -> None:
    call = recorder.call
    for name in ("live", "ready"):
        await call(f"GET /health/{name}", by=recorder.nobody)
    await call("GET /api/setup", by=recorder.nobody)
    token = first_run.token(installation_secrets(stage.settings))
    owner = {"email": "robin@example.com", "password": PASSWORD, "name": "Robin", "team": "Select Agency"}
    await recorder.let_in("POST /api/setup", {"token": token, **owner})
    person = recorder.person
    made = await call("POST /api/team/invitations", {"email": "sam@example.com", "role": "viewer", "permissions": ["exports.view"]}, by=person)  # fmt: skip
    await call("GET /api/team/invitations", by=person)
    guest = Recorder(str(person.base_url), "")
    origin = {"Origin": str(person.base_url).rstrip("/")}
    invited = {"token": made["url"].rpartition("token=")[2], "password": PASSWORD, "name": "Sam"}
    member = await recorder.call("POST /api/invitations/accept", invited, by=guest.person, headers=origin)
    user: dict[str, Any] = {"user_id": member["user_id"]}
    for operation in ("GET /api/team", "GET /api/team/roles", "GET /api/team/members", "GET /api/whoami"):
        await call(operation)
    await call(f"GET {MEMBER}", **user)
    await call(f"PATCH {MEMBER}", {"role": "admin"}, by=person, **user)
    reset = await call(f"POST {MEMBER}/password-reset", by=person, **user)
    change = {"token": reset["url"].rpartition("token=")[2], "password": NEW_PASSWORD}
    await call("POST /api/password-resets/complete", change, by=guest.person, headers=origin)
    await guest.close()
    await call("PATCH /api/team", {"name": "Select Agency"}, by=person)
    told = await recorder.let_in("POST /api/session", {"email": "robin@example.com", "password": PASSWORD})
    await call("GET /api/session", by=person)
    await call("PATCH /api/session", {"team_id": told["team_id"]}, by=person)
    await recorder.let_in("POST /api/session", {"email": "robin@example.com", "password": PASSWORD})
    rows = await call("GET /api/sessions", by=person)
    other = next(row for row in rows if not row["is_this"])
    await call("DELETE /api/sessions/{session_id}", by=person, session_id=other["id"])
    key = await call("POST /api/api-keys", {"name": "Reporting", "permissions": ["reports.view", "exports.view"], "expires_at": "2027-11-22T00:00:00Z"})  # fmt: skip
    await call("GET /api/api-keys")
    named: dict[str, Any] = {"api_key_id": key["id"]}
    await call(f"GET {KEY}", **named)
    await call(f"PATCH {KEY}", {"name": "Reporting, read only"}, **named)
    await call(f"DELETE {KEY}", **named)
    await call("POST /api/team/ownership", user, by=person)


async def _reading(stage: ExampleStage, database: asyncpg.Connection[Any], recorder: Recorder) -> None:
    call, link = recorder.call, dict[str, Any](smart_link_id=stage.smart_links["meta"])
    await call("GET /api/smart-links", query={"limit": 2})
    await call(f"GET {LINK}", **link)
    for name in ("stats", "cohort-arps", "history", "clicks", "conversions", "fans", "spenders"):
        await call(f"GET {LINK}/{name}", query={"limit": 2} if name in ("clicks", "conversions", "fans") else None, **link)  # fmt: skip
    await call("GET /api/reports/totals", query={"compare": "true"})
    await call("GET /api/reports/links", query={"limit": 2})
    await call("GET /api/reports/series", query={"time_zone": "America/New_York"})
    await call("GET /api/reports/breakdown", query={"dimension": "country", "limit": 2})
    await call("GET /api/reports/cohorts")
    await call("GET /api/pools")
    await call("GET /api/audit-log", query={"limit": 2})
    fan = await database.fetchval(
        "SELECT fan_id FROM conversions WHERE conversion_type = 'new_transaction' AND fan_id IN (SELECT fan_id FROM platform_events)"
        " GROUP BY fan_id ORDER BY count(*) DESC, fan_id LIMIT 1"
    )
    await call("GET /api/explain/{kind}/{name}", kind="fan", name=fan)
    await call("GET /api/exports/{file}", query={"limit": 2}, file="clicks.csv")


async def _links(stage: ExampleStage, recorder: Recorder) -> None:
    call = recorder.call
    body = {"account_id": stage.account_ids["madison"], "name": "Meta / Madison / A", "link_type": "tracking_link", "tags": ["autumn"]}  # fmt: skip
    made: dict[str, Any] = {"smart_link_id": (await call("POST /api/smart-links", body))["id"]}
    await call(f"PATCH {LINK}", {"name": "Meta / Madison / B", "window_seconds": 43200}, **made)
    await call(f"POST {LINK}/tags", {"tags": ["video", "lookalike"]}, **made)
    await call(f"GET {LINK}/tags", **made)
    await call("GET /api/link-tags")
    await call(f"DELETE {LINK}/tags", {"tags": ["video"]}, **made)
    await call(f"DELETE {LINK}", **made)


async def _inventory(stage: ExampleStage, recorder: Recorder) -> None:
    call, account = recorder.call, dict[str, Any](account=stage.account_ids["madison"])
    tracking = (await call("POST /api/{account}/tracking-links", {"name": "Bio link", "tags": ["bio"]}, **account))[0]
    trial = await call("POST /api/{account}/trial-links", {"duration": 7, "offerLimit": 10, "offerExpiration": 7, "name": "Newsletter"}, **account)  # fmt: skip
    # Looked at with traffic: the link of a pool that brought somebody.
    for kind, own in (("tracking-links", tracking), ("trial-links", trial)):
        base = "/api/{account}/" + kind
        await call(f"GET {base}", query={"limit": 2}, **account)
        await call(f"GET /api/{{account}}/stored/{kind}", query={"limit": 2}, **account)
        rows = (await recorder.keyed.get(f"/api/{account['account']}/{kind}", params={"limit": 100})).json()["data"]
        rows = rows["list"] if isinstance(rows, dict) else rows
        busy = max(rows, key=lambda row: (row["revenue"]["total"], row["revenue"]["spendersCount"]), default=own)
        one: dict[str, Any] = {**account, "link_id": busy["id"]}
        await call(f"GET {base}/{{link_id}}", **one)
        for name in ("subscribers", "spenders", "stats", "cohort-arps"):
            await call(f"GET {base}/{{link_id}}/{name}", **one)
        mine: dict[str, Any] = {**account, "link_id": own["id"]}
        await call(f"POST {base}/{{link_id}}/tags", {"tags": ["evergreen"]}, **mine)
        await call(f"GET {base}/{{link_id}}/tags", **mine)
        await call(f"DELETE {base}/{{link_id}}/tags", {"tags": ["evergreen"]}, **mine)
        await call(f"DELETE {base}/{{link_id}}", **mine)


async def _postbacks(stage: ExampleStage, recorder: Recorder) -> str:
    """Returns an event that was delivered."""
    call, link = recorder.call, stage.smart_links["meta"]
    await call("GET /api/postback-networks")
    body = {
        "url": f"{stage.receiver_url}/p/tracker?cid={{external_click_id}}&payout={{amount_gross}}", "smart_link_scope": "campaign_specific",
        "smart_link_ids": [link], "conversion_types": ["new_subscriber", "new_transaction"],
    }  # fmt: skip
    made = await call("POST /api/smart-link-postbacks", body)
    one: dict[str, Any] = {"postback_id": made["id"]}
    for name in ("test", "test-event"):
        operation = f"POST /api/smart-link-postbacks/{{destination_id}}/{name}"
        await call(operation, {"event": "new_transaction", "external_click_id": "my-click"}, destination_id=made["id"])
    await call(f"PATCH {POSTBACK}", {"conversion_types": ["new_subscriber"]}, **one)
    await call(f"DELETE {POSTBACK}", **one)
    told: dict[str, Any] = {"postback_id": stage.postback_id}
    await call("GET /api/smart-link-postbacks")
    await call(f"GET {POSTBACK}", **told)
    await call(f"GET {POSTBACK}/deliveries", query={"limit": 2}, **told)
    rows = await call("GET /api/deliveries", query={"limit": 2, "state": "delivered"})
    event: str = rows[0]["event_id"]
    await call("GET /api/deliveries/{event_id}", event_id=event)
    await call(f"POST {POSTBACK}/replay", {"event_ids": [event]}, **told)
    return event


async def _connections(stage: ExampleStage, database: asyncpg.Connection[Any], recorder: Recorder, event: str) -> None:
    call, link = recorder.call, stage.smart_links["meta"]
    pixel = {
        "kind": "meta", "token": "test-token", "name": "Pixel of Madison", "config": {"pixel_id": "123456789012345"},
        "smart_link_scope": "campaign_specific", "smart_link_ids": [link],
    }  # fmt: skip
    made = await call("POST /api/connections", pixel)
    one: dict[str, Any] = {"connection_id": made["id"]}
    await call("POST /api/connections/{destination_id}/test-event", {"event": "new_subscriber", "test_event_code": "TEST12345"}, destination_id=made["id"])  # fmt: skip
    destination = await database.fetchval("SELECT destination_id FROM destinations WHERE kind = 'meta'")
    await _delivered(database, destination, event)
    await call("GET /api/connections")
    await call(f"GET {CONNECTION}", **one)
    await call(f"GET {CONNECTION}/deliveries", **one)
    await call(f"PATCH {CONNECTION}", {"name": "Pixel of Madison, US"}, **one)
    await call("GET /api/delivery-health", query={"limit": 2})
    range_ = {"since": "2026-11-21T00:00:00Z", "until": "2026-11-22T12:00:00Z"}
    await call("POST /api/destinations/{destination_id}/replay-forecast", range_, destination_id=destination)
    await call("POST /api/destinations/{destination_id}/replay", range_, destination_id=destination)
    await call(f"POST {CONNECTION}/replay", {"event_id": event}, **one)
    await call(f"DELETE {CONNECTION}", **one)


async def _delivered(database: asyncpg.Connection[Any], destination: str, event: str) -> None:
    """The pixel was told of a conversion of before it was made: as if it had been there."""
    await database.execute(
        "INSERT INTO deliveries (event_id, destination_id, day, state, attempts, verdict, finished_at)"
        " SELECT event_id, $1, day, 'dead', 1, 'Meta no longer accepts this token: make a new one', now() FROM delivery_events WHERE event_id = $2",
        destination, event,
    )  # fmt: skip


async def _webhooks(stage: ExampleStage, recorder: Recorder) -> None:
    call = recorder.call
    body = {
        "endpoint_url": f"{stage.receiver_url}/p/hook", "events": ["subscriptions.new", "transactions.new"], "account_scope": "inclusive",
        "account_ids": [stage.account_ids["ava"]], "signing_secret": WEBHOOK_SECRET,
    }  # fmt: skip
    made = await call("POST /api/webhooks", body)
    one: dict[str, Any] = {"webhook_id": made["id"]}
    await call("GET /api/webhooks")
    await call("GET /api/webhooks/events")
    await call("GET /api/webhooks/{event_type}/example-payload", event_type="transactions.new")
    await call(f"GET {WEBHOOK}", **one)
    await call(f"PUT {WEBHOOK}", {**body, "enabled": True}, **one)
    await stage.subscribe("native")

    async def told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await recorder.keyed.get(f"/api/webhooks/{made['id']}/deliveries")).json()[
            "data"
        ]
        return found

    await stage.until(told)
    rows = await call(f"GET {WEBHOOK}/deliveries", **one)
    await call(f"POST {WEBHOOK}/deliveries/{{delivery_id}}/redeliver", delivery_id=rows[0]["id"], **one)
    await call(f"DELETE {WEBHOOK}", **one)


async def _accounts(stage: ExampleStage, recorder: Recorder) -> None:
    call = recorder.call
    theirs = await stage.admin("accounts", {"username": "riley", "name": "Riley", "subscribe_price": 4.99})
    made = await call("POST /api/connected-accounts", {"provider_account_id": theirs["id"], "api_key": "test-key"})  # fmt: skip
    one: dict[str, Any] = {"account_id": made["id"]}
    await call("GET /api/connected-accounts")
    await call(f"GET {ACCOUNT}", account_id=stage.account_ids["madison"])
    await call(f"PATCH {ACCOUNT}", {"webhook_secret": WEBHOOK_SECRET}, **one)
    await call(f"POST {ACCOUNT}/reconnect", **one)
    await call("GET /api/accounts")
    event = {
        "event": "subscriptions.new", "account_id": theirs["id"],
        "payload": {"user_id": "481516234", "id": "701", "createdAt": "2026-11-22T10:00:00+00:00", "user": {"id": 481516234, "username": "u481516234"}},
    }  # fmt: skip
    signature = hmac.new(WEBHOOK_SECRET.encode(), _as_sent(event), hashlib.sha256).hexdigest()
    await call("POST /webhooks/{provider}/{account_id}", event, by=recorder.nobody, headers={"Signature": signature}, provider="onlyfansapi", **one)  # fmt: skip
    await call(f"DELETE {ACCOUNT}", **one)
    await call("DELETE /api/accounts/{account_id}", account_id=stage.account_ids["ava"])


def _as_sent(body: Any) -> bytes:
    """JSON as the client writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


async def _erasures(database: asyncpg.Connection[Any], recorder: Recorder) -> None:
    fan = await database.fetchval(
        "SELECT fan_id FROM fans JOIN bindings USING (account_id, fan_id) JOIN platform_events USING (account_id, fan_id) ORDER BY fan_id LIMIT 1"
    )
    made = await recorder.call("POST /api/erasures", {"kind": "fan", "fan_id": fan})
    await recorder.call("GET /api/erasures")
    await recorder.call("GET /api/erasures/{erasure_id}", erasure_id=made["id"])


async def _leaving(recorder: Recorder) -> None:
    """What ends sessions and members. The owner is Sam by now."""
    call, person = recorder.call, recorder.person
    sam = {"email": "sam@example.com", "password": NEW_PASSWORD}
    await recorder.let_in("POST /api/session", sam)
    members = await call("GET /api/team/members", by=person)
    robin = next(row for row in members if row["email"] == "robin@example.com")
    change = {"current_password": NEW_PASSWORD, "new_password": PASSWORD}
    told = await call("POST /api/session/password", change, by=person)
    person.headers["X-CSRF-Token"] = told["csrf_token"]
    invited = await call("POST /api/team/invitations", {"email": "kim@example.com", "role": "viewer"}, by=person)
    await call("DELETE /api/team/invitations/{invitation_id}", by=person, invitation_id=invited["id"])
    await call(f"DELETE {MEMBER}", by=person, user_id=robin["user_id"])
    await call("DELETE /api/session", by=person)
    await recorder.let_in("POST /api/session", sam | {"password": PASSWORD})
    await call("DELETE /api/sessions", by=person)
