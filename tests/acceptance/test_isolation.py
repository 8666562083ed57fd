"""Every route of the api, walked by strangers: no key, a revoked key, a key without the permission, another team's key and session.

The walk is made from the application's routes, so a new one is walked without being named here. One that takes an id or a body this
file does not know fails the test: add a sample below.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from tracker.access import sessions
from tracker.access.keys import make_key
from tracker.access.permissions import GRANTABLE, OWN, PUBLIC, SIGNED_IN
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

MARK = "v1ct1m"  # in everything of the victim's that an answer could leak
SECRETS = Secrets("k" * 40)
AWAY = "http://127.0.0.1:9"
CLICK, CONVERSION, EVENT = "01k5v1ct1m0000000000000001", "conv-7001", "event-7001"
FAN = "424242"

# Ids of the victim's for path parameters; a name may mean different things under different paths.
SAMPLES = {
    "account_id": "account", "account": "account", "smart_link_id": "link", "postback_id": "postback",
    "connection_id": "connection", "webhook_id": "webhook", "event_id": "event", "user_id": "member",
    "invitation_id": "invitation", "api_key_id": "key", "session_id": "session", "delivery_id": "attempt", "erasure_id": "erasure",
}  # fmt: skip
SAMPLES_UNDER = {
    ("destination_id", "/api/connections"): "connection",
    ("destination_id", "/api/smart-link-postbacks"): "postback",
    ("destination_id", "/api/destinations"): "postback",
    ("link_id", "/api/{account:str}/tracking-links"): "tracking_link",
    ("link_id", "/api/{account:str}/trial-links"): "trial_link",
    ("destination_id", "/postbacks"): "postback",
    ("destination_id", "/platforms"): "connection",
    ("destination_id", "/deliveries"): "destination",
    ("name", "/api/explain"): "conversion",
    ("name", "/explain"): "conversion",
}
# Parameters that name no thing of a team's.
PLAIN = {"kind": "conversion", "file": "clicks.csv", "event_type": "subscriptions.new", "provider": "onlyfansapi"}
PLAIN_UNDER = {("kind", "/platforms/new"): "meta"}
# Ids that strangers may ask lists to filter by.
FILTERS = {
    "account_ids": "account", "account_id": "account", "account": "account", "smart_link_ids": "link", "smart_link_id": "link",
    "link": "link", "pixel_ids": "connection", "destination_id": "destination", "postback_id": "postback", "object_id": "link",
    "user_id": "member", "api_key_id": "key", "onlyfans_user_id": "fan", "team_id": "team",
}  # fmt: skip
# What some reports cannot do without.
NEEDED = {"dimension": "country"}


class Target(NamedTuple):
    """One method of one route."""

    method: str
    path: str
    permission: str
    takes_body: bool
    parameters: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names_a_thing(self) -> bool:
        return any(parameter not in PLAIN for parameter in self.parameters)


@dataclass
class World:
    """The victim's team with one of everything, and those who should not get at it."""

    app: Litestar
    pool: Pool
    ids: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=("203.0.113.9", 1), raise_app_exceptions=False)  # type: ignore[arg-type]
        made = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401", headers=headers)
        self.clients.append(made)
        return made

    async def key(self, team: str, scopes: list[str] | None = None) -> httpx.AsyncClient:
        _, key = await make_key(self.pool, SECRETS.key_hash, team, "walk", scopes)
        return self.client(Authorization=f"Bearer {key}")

    def address(self, target: Target) -> str:
        """The path with the victim's ids in it."""

        def sample(match: re.Match[str]) -> str:
            return _sample(self.ids, match[1], target.path)

        return re.sub(r"{(\w+)(?::\w+)?}", sample, target.path)

    async def ask(self, client: httpx.AsyncClient, target: Target) -> httpx.Response:
        """Make the request, with a body its owner could send."""
        body: Any = BODIES.get(target.name)
        if callable(body):
            body = body(self.ids)
        query = {name: self.ids[what] for name, what in FILTERS.items()} | NEEDED if target.method == "GET" else {}
        form = FORMS.get(target.name)
        if form is not None:
            return await client.request(target.method, self.address(target), data=form(self.ids))
        return await client.request(target.method, self.address(target), json=body, params=query)

    async def rows(self, pattern: str) -> dict[str, list[str]]:
        """Every row of every table that a pattern matches, without the times of use."""
        tables = await self.pool.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        found = {}
        for row in tables:
            name = row["relname"]
            texts = await self.pool.fetch(
                f"SELECT text FROM (SELECT (to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text AS text FROM {name} t) x"
                " WHERE text ~* $1 ORDER BY text",
                pattern,
            )
            found[name] = [text["text"] for text in texts]
        return found


def _postback(**more: Any) -> dict[str, Any]:
    return {
        "url": f"{AWAY}/{MARK}?c={{click_id}}", "smart_link_scope": "campaign_specific", "conversion_types": ["new_subscriber"],
    } | more  # fmt: skip


def _connection(**more: Any) -> dict[str, Any]:
    return {
        "kind": "meta", "token": f"token-{MARK}", "name": f"Pixel {MARK}", "config": {"pixel_id": "123456789012345"},
        "smart_link_scope": "campaign_specific",
    } | more  # fmt: skip


def _webhook(**more: Any) -> dict[str, Any]:
    return {
        "endpoint_url": f"{AWAY}/hook-{MARK}", "events": ["subscriptions.new"], "account_scope": "inclusive",
        "signing_secret": f"secret-{MARK}",
    } | more  # fmt: skip


BODIES: dict[str, Any] = {
    "POST /api/connected-accounts": {"provider_account_id": "acct_9", "api_key": "their-own"},
    "PATCH /api/connected-accounts/{account_id:str}": {"api_key": "stolen"},
    "POST /api/smart-links": lambda ids: {"account_id": ids["account"], "name": "x", "link_type": "tracking_link"},
    "PATCH /api/smart-links/{smart_link_id:str}": {"name": "stolen"},
    "POST /api/smart-link-postbacks": lambda ids: _postback(smart_link_ids=[ids["link"]]),
    "PATCH /api/smart-link-postbacks/{postback_id:str}": {"url": f"{AWAY}/stolen?c={{click_id}}"},
    "POST /api/connections": lambda ids: _connection(smart_link_ids=[ids["link"]]),
    "PATCH /api/connections/{connection_id:str}": {"name": "stolen"},
    "POST /api/connections/{destination_id:str}/test-event": {},
    "POST /api/smart-link-postbacks/{destination_id:str}/test": {},
    "POST /api/smart-link-postbacks/{destination_id:str}/test-event": {},
    "POST /api/smart-links/{smart_link_id:str}/tags": {"tags": ["stolen"]},
    "DELETE /api/smart-links/{smart_link_id:str}/tags": {"tags": [MARK]},
    "POST /api/smart-link-postbacks/{postback_id:str}/replay": {"event_id": EVENT},
    "POST /api/connections/{connection_id:str}/replay": {"event_id": EVENT},
    "POST /api/destinations/{destination_id:str}/replay": {"event_id": EVENT},
    "POST /api/destinations/{destination_id:str}/replay-forecast": {"event_id": EVENT},
    "PATCH /api/session": lambda ids: {"team_id": ids["team"]},
    "POST /api/session/password": {"current_password": "wrong wrong wrong", "new_password": "another long one"},
    "PATCH /api/team": {"name": "Renamed"},
    "POST /api/team/ownership": lambda ids: {"user_id": ids["member"]},
    "PATCH /api/team/members/{user_id:str}": {"role": "viewer"},
    "POST /api/team/invitations": {"email": "new@example.com", "role": "viewer"},
    "POST /api/api-keys": {"name": "x"},
    "PATCH /api/api-keys/{api_key_id:str}": {"name": "stolen"},
    "POST /api/{account:str}/tracking-links": {"name": "x"},
    "POST /api/{account:str}/trial-links": {"duration": 7, "offerLimit": 1, "offerExpiration": 7, "name": "x"},
    "POST /api/{account:str}/tracking-links/{link_id:str}/tags": {"tags": ["stolen"]},
    "DELETE /api/{account:str}/tracking-links/{link_id:str}/tags": {"tags": [MARK]},
    "POST /api/{account:str}/trial-links/{link_id:str}/tags": {"tags": ["stolen"]},
    "DELETE /api/{account:str}/trial-links/{link_id:str}/tags": {"tags": [MARK]},
    "POST /api/erasures": lambda ids: {"kind": "fan", "fan_id": FAN, "account_id": ids["account"]},
    "POST /api/webhooks": lambda ids: _webhook(account_ids=[ids["account"]]),
    "PUT /api/webhooks/{webhook_id:str}": _webhook(account_scope="global"),
}
# What the dashboard's pages post. A page that reads a form is refused before it reads one, unless it is named here.
FORMS: dict[str, Any] = {
    "POST /links/new": lambda ids: {"account_id": ids["account"], "name": "x", "link_type": "tracking_link"},
    "POST /links/{smart_link_id:str}/edit": lambda ids: {"name": "stolen", "window_seconds": "21600"},
    "POST /links/{smart_link_id:str}/state": lambda ids: {"state": "paused"},
    "POST /postbacks/{postback_id:str}/edit": lambda ids: {"url": f"{AWAY}/stolen"},
    "POST /postbacks/{postback_id:str}/test": lambda ids: {"event": "new_subscriber"},
    "POST /postbacks/{postback_id:str}/state": lambda ids: {"state": "paused"},
    "POST /platforms/{connection_id:str}/test": lambda ids: {"event": "new_subscriber"},
    "POST /platforms/{connection_id:str}/state": lambda ids: {"state": "paused"},
    "POST /accounts/{account_id:str}/secret": lambda ids: {"sure": "yes"},
    "POST /accounts/{account_id:str}/state": lambda ids: {"state": "look"},
    "POST /accounts/{account_id:str}/edit": lambda ids: {"profile_url": f"{AWAY}/stolen"},
    "POST /team/members/{user_id:str}": lambda ids: {"role": "viewer"},
    "POST /keys/{api_key_id:str}/name": lambda ids: {"name": "stolen"},
    "POST /deliveries/replay": lambda ids: {"destination_id": ids["destination"], "event_ids": EVENT},
}


def _sample(ids: dict[str, str], parameter: str, path: str) -> str:
    if parameter in PLAIN:
        return next(
            (what for (name, prefix), what in PLAIN_UNDER.items() if name == parameter and path.startswith(prefix)),
            PLAIN[parameter],
        )
    for (name, prefix), what in SAMPLES_UNDER.items():
        if name == parameter and path.startswith(prefix):
            return ids[what]
    return ids[SAMPLES[parameter]]


def targets(app: Litestar) -> Iterator[Target]:
    """Every method of every route that is not public."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path}: say here how strangers are kept from it"
        for handler in route.route_handlers:
            permission = handler.opt.get("permission")
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                assert permission in {PUBLIC, SIGNED_IN, OWN} | GRANTABLE, (
                    f"{method} {route.path} declares no permission"
                )
                if permission != PUBLIC:
                    names = tuple(re.findall(r"{(\w+)", route.path))
                    yield Target(method, route.path, permission, handler.parsed_data_field is not None, names)


@pytest.fixture
async def world(pool: Pool, redis: Client) -> AsyncIterator[World]:
    """The victim's team, and a team that has nothing."""
    settings = Settings(egress_allow=("127.0.0.0/8",), onlyfansapi_url=AWAY, meta_url=AWAY, provider_timeout=1.0)
    made = World(create_app(Services(settings, pool, redis, SECRETS)), pool)
    for team, name in (("team_one", f"Agency {MARK}"), ("team_two", "Strangers")):
        await pool.execute("INSERT INTO teams (team_id, name) VALUES ($1, $2)", team, name)
    for team, user, email in (
        ("team_one", "user_owner", f"owner@{MARK}.com"),
        ("team_two", "user_stranger", "stranger@example.com"),
    ):
        await pool.execute("INSERT INTO users (user_id, email) VALUES ($1, $2)", user, email)
        await pool.execute("INSERT INTO members (team_id, user_id, role) VALUES ($1, $2, 'owner')", team, user)
    await pool.execute("INSERT INTO users (user_id, email) VALUES ('user_clerk', $1)", f"clerk@{MARK}.com")
    await pool.execute("INSERT INTO members (team_id, user_id, role) VALUES ('team_one', 'user_clerk', 'admin')")
    await _furnish(made, settings)
    yield made
    for client in made.clients:
        await client.aclose()


async def _furnish(world: World, settings: Settings) -> None:
    owner, ids, pool = await world.key("team_one"), world.ids, world.pool

    async def create(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await owner.post(path, json=body)
        assert answer.status_code in (200, 201), (path, answer.text)
        found: dict[str, Any] = answer.json().get("data") or answer.json()
        return found

    ids["team"], ids["member"], ids["fan"] = "team_one", "user_clerk", FAN
    account = {"provider_account_id": f"acct_{MARK}", "api_key": f"key-{MARK}", "username": MARK}
    ids["account"] = (await create("/api/connected-accounts", account))["id"]
    link = {"account_id": ids["account"], "name": f"Ad {MARK}", "link_type": "tracking_link"}
    ids["link"] = (await create("/api/smart-links", link | {"tags": [MARK]}))["id"]
    ids["postback"] = str((await create("/api/smart-link-postbacks", _postback(smart_link_ids=[ids["link"]])))["id"])
    ids["destination"] = await pool.fetchval("SELECT destination_id FROM destinations")
    ids["connection"] = str((await create("/api/connections", _connection(smart_link_ids=[ids["link"]])))["id"])
    ids["webhook"] = str((await create("/api/webhooks", _webhook(account_ids=[ids["account"]])))["id"])
    invitation = await create("/api/team/invitations", {"email": f"friend@{MARK}.com", "role": "viewer"})
    ids["invitation"] = invitation["id"]
    ids["key"] = (await create("/api/api-keys", {"name": f"Key {MARK}"}))["id"]
    await sessions.open(pool, SECRETS, settings, "user_owner", "team_one", "203.0.113.9", MARK)
    ids["session"] = await pool.fetchval("SELECT session_id FROM sessions")
    for kind, number in (("tracking_link", "7001001"), ("free_trial", "7001002")):
        offer = "tracking" if kind == "tracking_link" else "trial-7"
        await pool.execute(
            "INSERT INTO inventory_links (account_id, offer, kind, role, state, provider_link_id, name, url)"
            " VALUES ($1, $2, $3, 'external', 'ready', $4, $5, $6)",
            ids["account"], offer, kind, number, f"Bio {MARK}", f"https://onlyfans.com/{MARK}/c1",
        )  # fmt: skip
    ids["tracking_link"], ids["trial_link"], ids["conversion"], ids["event"] = "7001001", "7001002", CONVERSION, EVENT
    await _happen(world)
    ids["erasure"] = "01K5V1CT1M00000000ERASE001"
    await pool.execute(
        "INSERT INTO erasures (erasure_id, team_id, kind, pseudonym, subject_hash, settles_at)"
        " VALUES ($1, 'team_one', 'fan', $2, 'x', now())",
        ids["erasure"], f"erased:{MARK}",
    )  # fmt: skip


async def _happen(world: World) -> None:
    """A click, its fan, the conversion, and its deliveries."""
    ids, pool = world.ids, world.pool
    await pool.execute(
        "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, ecid)"
        " VALUES ($1, $2, $3, now(), now(), 'v1', 'new', 'exclusive', $4)",
        CLICK, ids["link"], ids["account"], MARK,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO fans (account_id, fan_id, username, name) VALUES ($1, $2, $3, $3)", ids["account"], FAN, MARK
    )
    await pool.execute(
        "INSERT INTO bindings (account_id, fan_id, valid_from, click_id, smart_link_id, rule, lease, confidence, competing_clicks,"
        " event_keys) VALUES ($1, $2, now(), $3, $4, 'subscribed', 'exclusive', 1, 1, '{e}')",
        ids["account"], FAN, CLICK, ids["link"],
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type,"
        " conversion_at, event_keys) VALUES ($1, 'team_one', $2, $3, $4, $5, 'new_subscriber', now(), '{e}')",
        CONVERSION, ids["account"], ids["link"], CLICK, FAN,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO delivery_events (event_id, day, event_type, occurred_at, facts)"
        " VALUES ($1, current_date, 'new_subscriber', now(), $2)",
        EVENT, {"fan_onlyfans_username": MARK},
    )  # fmt: skip
    for row in await pool.fetch("SELECT destination_id, kind FROM destinations"):
        await pool.execute(
            "INSERT INTO deliveries (event_id, destination_id, day, state, attempts, verdict)"
            " VALUES ($1, $2, current_date, 'dead', 1, $3)",
            EVENT, row["destination_id"], MARK,
        )  # fmt: skip
        number = await pool.fetchval(
            "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
            " VALUES (current_date, $1, $2, 1, now(), 5, $3, 'permanent', $3) RETURNING attempt_id",
            EVENT, row["destination_id"], MARK,
        )  # fmt: skip
        if row["kind"] == "webhook":
            ids["attempt"] = str(number)


async def test_every_route_is_known_here(world: World) -> None:
    for target in targets(world.app):
        for parameter in target.parameters:
            try:
                _sample(world.ids, parameter, target.path)
            except KeyError:
                pytest.fail(f"{target.name}: give parameter {parameter} a sample id")
        assert not target.takes_body or target.name in BODIES, f"{target.name}: give it a sample body"
    everything = {target.name for target in targets(world.app)}
    assert set(BODIES) | set(FORMS) <= everything, "a sample for a route that is gone"


async def test_nobody_and_a_revoked_key_get_nowhere(world: World) -> None:
    revoked = await world.key("team_one")
    await world.pool.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'walk' AND last_used_at IS NULL")
    before = await world.rows(".")
    wrong = []
    for target in targets(world.app):
        for client in (world.client(), revoked, world.client(Cookie=f"clickbind_session={'a' * 43}")):
            answer = await world.ask(client, target)
            to_login = answer.status_code in (302, 303) and answer.headers["location"].startswith("/login")
            if (answer.status_code not in (401, 429) and not to_login) or MARK in answer.text.lower():
                wrong.append((target.name, answer.status_code, answer.text[:200]))
    assert not wrong, "\n".join(map(str, wrong))
    assert await world.rows(".") == before


async def test_a_key_without_the_permission_is_refused(world: World) -> None:
    wanted = [target for target in targets(world.app) if target.permission != SIGNED_IN]
    keys = {}
    for permission in {target.permission for target in wanted}:
        category, _, action = permission.partition(".")
        others = GRANTABLE - {permission} - ({f"{category}.manage"} if action == "view" else set())
        keys[permission] = await world.key("team_one", sorted(others))
    before = await world.rows(".")
    wrong = []
    for target in wanted:
        answer = await world.ask(keys[target.permission], target)
        if answer.status_code != 403 or MARK in answer.text.lower():
            wrong.append((target.name, answer.status_code, answer.text[:200]))
    assert not wrong, "\n".join(map(str, wrong))
    assert await world.rows(".") == before


@pytest.mark.parametrize("by", ["key", "session"])
async def test_another_team_sees_and_changes_nothing(world: World, by: str) -> None:
    stranger = await world.key("team_two")
    if by == "session":
        settings = Settings()
        token = await sessions.open(world.pool, SECRETS, settings, "user_stranger", "team_two", "203.0.113.9", "x")
        csrf = sessions.csrf_token(SECRETS, token)
        stranger = world.client(**{"Cookie": f"clickbind_session={token}", "X-CSRF-Token": csrf})
    theirs = "|".join(re.escape(each) for each in (*world.ids.values(), MARK, "user_owner") if len(each) > 4)
    before = await world.rows(theirs)
    wrong = []
    for target in sorted(targets(world.app), key=_ends_the_session):
        answer = await world.ask(stranger, target)
        body = answer.text.lower()
        refused = answer.status_code == 404 if target.names_a_thing else answer.status_code < 500
        if target.names_a_thing and target.permission == SIGNED_IN:
            refused = answer.status_code in (403, 404)
        names_foreign = callable(BODIES.get(target.name)) or target.name in (
            "POST /links/new",
            "POST /deliveries/replay",
        )
        if names_foreign and answer.status_code not in (403, 404, 409, 422):
            refused = False
        if not refused or MARK in body:
            wrong.append((target.name, answer.status_code, answer.text[:300]))
    assert not wrong, "\n".join(map(str, wrong))
    assert await world.rows(theirs) == before


def _ends_the_session(target: Target) -> bool:
    ending = ("DELETE /api/session", "DELETE /api/sessions", "POST /logout", "POST /profile/log-out-everywhere")
    return target.name in ending


async def test_the_samples_are_what_their_owner_gets_at(world: World) -> None:
    """The control: what strangers were refused exists, and its owner may do all of it."""
    owner = await world.key("team_one")
    wrong = []
    for target in sorted(targets(world.app), key=_destructive):
        if target.permission == SIGNED_IN and not target.path.endswith("roles"):
            continue
        answer = await world.ask(owner, target)
        allowed = (200, 201) if target.method == "GET" else (200, 201, 202, 302, 303, 409, 422)
        if answer.status_code not in (*allowed, *ALSO.get(target.name, ())):
            wrong.append((target.name, answer.status_code, answer.text[:300]))
    assert not wrong, "\n".join(map(str, wrong))


# Other answers an owner gets here: the provider is away, or the thing is deleted under its other path already.
ALSO: dict[str, tuple[int, ...]] = {
    "POST /api/{account:str}/tracking-links": (503,),
    "POST /api/{account:str}/trial-links": (503,),
    "DELETE /api/{account:str}/tracking-links/{link_id:str}": (503,),
    "DELETE /api/{account:str}/trial-links/{link_id:str}": (503,),
    "DELETE /api/accounts/{account_id:str}": (404,),
    "DELETE /api/team/invitations/{invitation_id:str}": (404,),
}


def _destructive(target: Target) -> tuple[int, int]:
    """Deletions last, parts before the whole."""
    ends = (
        target.method == "DELETE" or target.name == "POST /api/erasures" or target.path.endswith(("/remove", "/revoke"))
    )
    return (ends, -len(target.path))
