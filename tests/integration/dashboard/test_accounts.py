"""Accounts over HTTP: connecting, what is shown once, mistakes, words about trouble, and who may do what."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.integration.dashboard.conftest import SECRETS
from tests.integration.dashboard.test_pages import csrf, plant, team_of
from tracker.access import people
from tracker.access.people import SQL as PEOPLE
from tracker.access.sessions import cookie_name
from tracker.access.sessions import open as open_session
from tracker.dashboard.providers import FORMS
from tracker.management.services import Services
from tracker.providers.registry import PROVIDERS
from tracker.stores.postgres import Pool

KEY = "ofapi-key-that-stays-secret"
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"


async def kept(pool: Pool) -> dict[str, object]:
    """What is stored of the one account that may change."""
    row = await pool.fetchrow("SELECT api_key_sealed, webhook_secret_sealed, import_prefix FROM accounts")
    assert row is not None
    return dict(row)


async def connect(owner: httpx.AsyncClient, provider: str = "onlyfansapi", **more: str) -> httpx.Response:
    """Send the form of a provider."""
    address = f"/accounts/new/{provider}"
    form = {"csrf": csrf((await owner.get(address)).text), "provider_account_id": "acct_1", "api_key": KEY, **more}
    return await owner.post(address, data=form)


def test_every_provider_has_its_form() -> None:
    assert set(FORMS) == set(PROVIDERS)


@pytest.mark.parametrize("provider", sorted(FORMS))
async def test_an_account_is_connected_and_its_secret_shown_once(
    owner: httpx.AsyncClient, pool: Pool, services: Services, provider: str
) -> None:
    answer = await connect(owner, provider, username="madison")
    assert answer.status_code == 200, answer.text
    account_id = await pool.fetchval("SELECT account_id FROM accounts")
    sealed = await pool.fetchval("SELECT webhook_secret_sealed FROM accounts")
    assert sealed is not None
    assert f"{services.settings.api_base_url}/webhooks/{provider}/{account_id}" in answer.text
    secret = re.search(r'id="webhook-secret"[^>]*>([^<]{20,})<', answer.text)
    assert (secret is None) is FORMS[provider].own_secret
    assert KEY not in answer.text
    again = (await owner.get(f"/accounts/{account_id}")).text
    assert "shown this once" not in again
    assert secret is None or secret[1] not in again
    assert "madison" in again
    assert "madison" in (await owner.get("/accounts")).text
    assert (await pool.fetchval("SELECT count(*) FROM account_jobs")) == 5


async def test_mistakes_stand_at_their_field_and_change_nothing(owner: httpx.AsyncClient, pool: Pool) -> None:
    for form, field, words in (
        ({"provider_account_id": ""}, "provider_account_id", "is needed"),
        ({"provider_account_id": "https://app.example/acct_1"}, "provider_account_id", "This is an address"),
        ({"provider_account_id": "x" * 201}, "provider_account_id", "At most 200"),
        ({"api_key": ""}, "api_key", "is needed"),
        ({"api_key": "two\nlines"}, "api_key", "one line"),
        ({"username": "u" * 101}, "username", "At most 100"),
    ):
        answer = await connect(owner, **form)
        assert answer.status_code == 422, form
        assert re.search(rf'id="{field}-wrong">[^<]*{words}', answer.text), form
        assert KEY not in answer.text
    assert await pool.fetchval("SELECT count(*) FROM accounts") == 0
    await connect(owner)
    twice = await connect(owner)
    assert twice.status_code == 422
    assert "already connected" in twice.text
    assert await pool.fetchval("SELECT count(*) FROM accounts") == 1
    assert (await owner.get("/accounts/new/nobody")).status_code == 404
    assert (await owner.get("/accounts/acct_nope")).status_code == 404


async def test_a_key_a_prefix_and_a_secret_are_changed(owner: httpx.AsyncClient, pool: Pool) -> None:
    await connect(owner, "onlymonster", import_prefix="click")
    account_id = await pool.fetchval("SELECT account_id FROM accounts")
    home = f"/accounts/{account_id}"
    before = await kept(pool)
    assert before["import_prefix"] == "click"
    page = (await owner.get(f"{home}/edit")).text
    assert 'value="click"' in page
    token = csrf(page)
    wrong = await owner.post(f"{home}/edit", data={"csrf": token, "profile_url": "javascript:alert(1)"})
    assert wrong.status_code == 422
    assert "must start with https://" in wrong.text
    assert await kept(pool) == before
    form = {"csrf": token, "api_key": "another", "import_prefix": "", "webhook_secret": "theirs", "profile_url": ""}
    assert (await owner.post(f"{home}/edit", data=form)).status_code == 303
    after = await kept(pool)
    assert all(after[name] != before[name] for name in ("api_key_sealed", "webhook_secret_sealed", "import_prefix"))
    # The secret alone, as the page after connecting sends it, leaves the rest.
    await owner.post(f"{home}/edit", data={"csrf": token, "webhook_secret": "theirs too"})
    last = await kept(pool)
    assert last["api_key_sealed"] == after["api_key_sealed"]
    assert last["webhook_secret_sealed"] != after["webhook_secret_sealed"]
    assert (await owner.post(f"{home}/secret", data={"csrf": token})).status_code == 422
    made = await owner.post(f"{home}/secret", data={"csrf": token, "sure": "yes"})
    assert made.status_code == 200
    assert await pool.fetchval("SELECT webhook_secret_sealed FROM accounts") != last["webhook_secret_sealed"]


async def test_looking_again_and_disconnecting(owner: httpx.AsyncClient, pool: Pool) -> None:
    await plant(pool, await team_of(pool))
    token = csrf((await owner.get("/accounts/acct_1")).text)
    assert (await owner.post("/accounts/acct_1/state", data={"csrf": token, "state": "gone"})).status_code == 422
    looked = await owner.post("/accounts/acct_1/state", data={"csrf": token, "state": "look"})
    assert looked.headers["location"] == "/accounts/acct_1?looking=1"
    assert await pool.fetchval("SELECT count(*) FROM account_jobs WHERE due_at <= now()") == 5
    gone = await owner.post("/accounts/acct_1/state", data={"csrf": token, "state": "disconnected"})
    assert gone.headers["location"] == "/accounts"
    assert "No creator" in (await owner.get("/accounts")).text
    assert await pool.fetchval("SELECT state FROM smart_links") == "paused"


async def test_trouble_is_told_in_words_and_hostile_texts_are_inert(owner: httpx.AsyncClient, pool: Pool) -> None:
    await plant(pool, await team_of(pool))
    await plant(pool, await team_of(pool), "acct_2", "01KE2JN9RBPAZNYSXKMYHR4JP9")
    await pool.execute(
        "UPDATE accounts SET session_state = 'dead', session_message = $1, display_name = $1, username = $1,"
        " profile_url = 'javascript:alert(3)' WHERE account_id = 'acct_2'", HOSTILE,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO account_jobs (account_id, job, failures, last_error) VALUES ('acct_1', 'transactions', 4, $1)", HOSTILE
    )  # fmt: skip
    page = (await owner.get("/accounts")).text
    assert "needs a new log-in at the provider since" in page
    assert "reading payments has failed 4 times in a row" in page
    for path in ("/accounts", "/accounts/acct_1", "/accounts/acct_2", "/accounts/acct_2/edit", "/accounts?search=x"):
        text = (await owner.get(path)).text
        assert "<img src=x" not in text
        assert "<script>alert" not in text
        assert 'href="javascript' not in text


async def test_a_viewer_may_look_and_not_touch(owner: httpx.AsyncClient, pool: Pool, services: Services) -> None:
    team_id = await team_of(pool)
    await plant(pool, team_id)
    user_id = await people.make(pool, "viewer@example.com", "V", None)
    await pool.fetchval(PEOPLE["insert_member"], team_id, user_id, "viewer", [])
    token = await open_session(pool, SECRETS, services.settings, user_id, team_id, "203.0.113.9", "")
    owner.cookies.clear()
    owner.cookies.set(cookie_name(services.settings), token)
    page = (await owner.get("/accounts/acct_1")).text
    assert "madison" in page
    for words in ("Look again", "Disconnect", "/edit", "Make a new secret"):
        assert words not in page
    assert "/accounts/new" not in (await owner.get("/accounts")).text
    data = {"csrf": csrf(page), "state": "disconnected", "sure": "yes", "api_key": "stolen"}
    for path in ("/accounts/acct_1/state", "/accounts/acct_1/secret", "/accounts/acct_1/edit", "/accounts/new/ofauth"):
        assert (await owner.post(path, data=data)).status_code == 403
