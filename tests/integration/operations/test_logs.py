"""What the roles log at their most talkative while they work: lines a machine can read, and no secret."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.demo import stage as stage_module
from loadtests.demo.stage import Stage
from tests.acceptance.conftest import ANY_PORTS
from tests.integration.edge.conftest import PHONE
from tracker.settings import Settings

KEY = "an-installation-key-that-no-log-may-show"
POSTBACK_SECRET = "s3cret-in-the-postback-url"
META_TOKEN = "EAAmetaTOKENofTheBuyer0123456789"
WRONG_KEY = "cb_a-key-that-somebody-mistyped-0123456789"


class Overheard(Stage):
    """A stage that keeps the secrets its API calls give out."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.secrets: set[str] = set()

    async def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await super().api(method, path, body)
        if isinstance(answer, dict) and "webhook_secret" in answer:
            self.secrets.add(answer["webhook_secret"])
        return answer


@contextmanager
def standard_error_into(path: Path) -> Iterator[None]:
    """What this process and its children write to standard error goes into a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


async def be_busy(stage: Overheard) -> None:
    """Everything that handles a secret, some of it going wrong."""
    stage.secrets |= {stage.api_key, KEY, POSTBACK_SECRET, META_TOKEN, WRONG_KEY, "test-key"}
    url = f"{stage.receiver_url}/p/secret?auth={POSTBACK_SECRET}&cid={{conversion_id}}"
    made = await stage.api(
        "POST",
        "smart-link-postbacks",
        {"url": url, "smart_link_scope": "global", "conversion_types": ["new_subscriber", "new_transaction"]},
    )
    mode = {"name": "secret", "mode": "fail_rate", "rate": 0.3, "status": 500}
    await (await stage.session.post(f"{stage.receiver_url}/__admin/mode", json=mode)).read()
    await stage.api(
        "POST",
        "connections",
        {"kind": "meta", "name": "Meta", "token": META_TOKEN, "config": {"pixel_id": "123456789012345"}},
    )
    account = stage.platform_accounts["ava"]
    for number in range(4):
        headers = {"User-Agent": PHONE, "X-Forwarded-For": f"81.2.69.{number}"}
        query = f"?ecid=log{number}&fbclid=IwAR{number}"
        async with stage.session.get(
            stage.link_url("native") + query, headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == 302
            place = answer.headers["Location"]
            stage.secrets.add(answer.cookies["cbv"].value)
        body = {"account_id": account, "name": "Fan", "link_url": place, "click": False}
        fan = (await stage.admin("fans/subscribe", body))["fan_id"]
        await stage.admin("fans/tip", {"account_id": account, "fan_id": fan, "amount": 5})
    base = f"http://127.0.0.1:{stage.settings.api_port}"
    async with stage.session.get(f"{base}/api/smart-links", headers={"Authorization": f"Bearer {WRONG_KEY}"}) as answer:
        assert answer.status == 401
    async with stage.session.post(f"{base}/api/smart-links?key={WRONG_KEY}", data=b"{") as answer:
        assert answer.status in (400, 401)
    deadline = 300
    while deadline:  # subscribers and tips told, in spite of the refusals
        states = [row["state"] for row in await stage.api("GET", f"smart-link-postbacks/{made['id']}/deliveries")]
        if states.count("delivered") >= 5:
            return
        deadline -= 1
        await asyncio.sleep(0.1)
    raise AssertionError(f"the postback was not told: {states}")


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's settings, with every line of the log, as JSON."""
    usual = stage_module.demo_settings

    def chosen(*arguments: Any) -> Settings:
        return msgspec.structs.replace(
            usual(*arguments), log_level="debug", log_format="json", secret_key=KEY, meta_url="http://127.0.0.1:9"
        )

    monkeypatch.setattr(stage_module, "demo_settings", chosen)


@pytest.mark.usefixtures("talkative")
async def test_a_busy_day_leaves_no_secret_in_the_logs() -> None:
    with tempfile.TemporaryDirectory(prefix="cb-logs-") as name:
        Path(name).chmod(0o711)
        path = Path(name) / "log"
        stage = Overheard(ANY_PORTS, Path(name) / "data", 4, 3)
        with standard_error_into(path):
            try:
                await stage.start(lambda text: None)
                await be_busy(stage)
            finally:
                await stage.stop()
        text = path.read_text()
        stores = "".join((Path(name) / "data" / f"{store}.log").read_text() for store in ("postgres", "valkey"))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    # The one line for a person: where the first one sets Clickbind up. Its token dies when somebody has.
    others = [line for line in text.splitlines() if not line.startswith("{") and "/setup?token=" not in line]
    assert others == []
    assert len(stage.secrets) >= 12
    for secret in stage.secrets:
        shown = [line for line in text.splitlines() if secret in line]
        assert shown == []
        assert secret not in stores
    assert {line["role"] for line in lines} >= {"edge", "recorder", "worker", "api"}
    assert all(isinstance(line["pid"], int) and line["event"] and line["timestamp"] and line["level"] for line in lines)
    assert any(line["level"] == "debug" for line in lines)
    for field in ("conversion_id", "event_id", "destination_id"):
        assert any(field in line for line in lines), field


def test_masking_reaches_passwords_queries_and_named_secrets() -> None:
    from tracker.logs import mask

    event = {
        "error": "cannot reach postgresql://me:hunter2@db/x or https://h/p?token=abc&x=1",
        "api_key": "cb_123",
        "Authorization": "Bearer x",
        "click_id": "c1",
    }
    masked = mask(None, "", dict(event))
    assert masked == {
        "error": "cannot reach postgresql://me:***@db/x or https://h/p?***",
        "api_key": "***",
        "Authorization": "***",
        "click_id": "c1",
    }
