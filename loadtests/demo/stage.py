"""The demo's stage: the fake platform and receiver as processes, the product under its supervisor, everything connected."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from loadtests.demo.cast import ACCOUNTS, LINKS
from tracker.api.bootstrap import bootstrap
from tracker.settings import Settings
from tracker.stores.processes import die_with_parent
from tracker.supervisor import Supervisor

POSTBACK = (
    "/p/demo?cid={conversion_id}&type={conversion_type}&click={click_id}&ecid={external_click_id}&fbclid={fbclid}"
    "&fan={fan_onlyfans_id}&gross={amount_gross}&tx={transaction_type}&link={smart_link_name}"
)
CONVERSION_TYPES = [
    "new_subscriber", "new_transaction", "message_received", "fan_sent_1_message", "fan_sent_3_messages",
]  # fmt: skip


def demo_settings(base: Settings, data_dir: Path, platform_url: str, pool_target: int) -> Settings:
    """The demo's configuration: free ports, loopback trusted as a proxy, quick retries, the fake platform."""
    return msgspec.structs.replace(
        base,
        data_dir=str(data_dir),
        database_url="",
        redis_url="",
        edge_port=_free_port(base.edge_port),
        api_port=_free_port(base.api_port),
        recorder_port=_free_port(base.recorder_port),
        worker_port=_free_port(base.worker_port),
        trusted_proxies=("127.0.0.0/8",),
        onlyfansapi_url=platform_url,
        platform_url=f"{platform_url}/onlyfans",
        egress_allow=("127.0.0.0/8",),
        pool_target=pool_target,
        pool_max=1,  # an hour's fans come within a minute: no rate to grow by
        pool_batch=16,
        delivery_schedule=(0.3, 0.6, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0),
        reconcile_debounce=0.4,
        reconcile_retry=(0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        reconcile_poll=10.0,
        transactions_poll=5.0,
        price_wait=20.0,
        log_level="error" if base.log_level == "info" else base.log_level,
        log_format="console",
    )


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port on 127.0.0.1")


class Stage:
    """Brings everything up and takes it down again."""

    def __init__(self, base: Settings, data_dir: Path, people: int, seed: int) -> None:
        self._base = base
        self._data_dir = data_dir
        self._people = people
        self._seed = seed
        self._processes: list[asyncio.subprocess.Process] = []
        self.session: aiohttp.ClientSession
        self.settings: Settings
        self.supervisor: Supervisor
        self.platform_url = ""
        self.receiver_url = ""
        self.api_key = ""
        self.account_ids: dict[str, str] = {}  # username → our account id
        self.platform_accounts: dict[str, str] = {}  # username → the platform's
        self.smart_links: dict[str, str] = {}  # link key → smart link id
        self.postback_id = ""

    async def start(self, progress: Callable[[str], None]) -> None:
        """Everything up, connected, pools filled."""
        # Enough connections for every visitor at once; addresses are literal, so no resolver is involved.
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=10),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        progress("Starting the fake platform and the postback receiver")
        self.platform_url = await self._emulator("loadtests.emulators.platform", "--seed", str(self._seed))
        self.receiver_url = await self._emulator("loadtests.emulators.receiver")
        # The vendor retries a webhook after about 10 and 60 seconds; here after 2 and 8, as everything is quicker.
        await self.admin("settings", {"rate_limit_minute": 5000, "retry_delays": [2.0, 8.0]})
        self.settings = self.configure()
        self.supervisor = Supervisor(self.settings)
        await self.supervisor.start(progress)
        made = await bootstrap(self.settings, "Demo team")
        self.api_key = made["api_key"]
        await self._wait_for(f"http://127.0.0.1:{self.settings.api_port}/health/ready", "the API")
        await self._wait_for(f"http://127.0.0.1:{self.settings.edge_port}/health/ready", "the edge")
        progress("Connecting two creators' accounts, making smart links and a postback")
        for username, price in ACCOUNTS.items():
            await self._connect(username, price)
        for key, (username, link_type, days) in LINKS.items():
            body = {
                "account_id": self.account_ids[username],
                "name": f"{key.title()} / {username}",
                "link_type": link_type,
            }
            made = await self.api("POST", "smart-links", body | ({"free_trial_days": days} if days else {}))
            self.smart_links[key] = made["id"]
        # The receiver refuses a tenth of all requests at random: what is delivered is delivered by retrying.
        mode = {"name": "demo", "mode": "fail_rate", "rate": 0.1, "status": 500}
        async with self.session.post(f"{self.receiver_url}/__admin/mode", json=mode) as answer:
            answer.raise_for_status()
        postback = await self.api(
            "POST", "smart-link-postbacks",
            {"url": self.receiver_url + POSTBACK, "smart_link_scope": "global", "conversion_types": CONVERSION_TYPES},
        )  # fmt: skip
        self.postback_id = postback["id"]
        await self._fill_pools(progress)

    def configure(self) -> Settings:
        """What the product runs with; called once the fake platform is up."""
        return demo_settings(self._base, self._data_dir, self.platform_url, round(self._people * 0.8) + 20)

    async def stop(self) -> None:
        """Everything down."""
        if hasattr(self, "session"):
            await self.session.close()
        if hasattr(self, "supervisor"):
            await self.supervisor.stop()
        for process in self._processes:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    def link_url(self, key: str) -> str:
        """The address a buyer would put into an ad."""
        return f"{self.settings.base_url}/go/{self.smart_links[key]}"

    async def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the management API; the answer's data. Retries while it restarts."""
        url = f"http://127.0.0.1:{self.settings.api_port}/api/{path}"
        headers = {"Authorization": f"Bearer {self.api_key}"}
        for _ in range(100):
            try:
                async with self.session.request(method, url, json=body, headers=headers) as answer:
                    result = await answer.json()
                    if answer.status == 503:
                        await asyncio.sleep(0.1)
                        continue
                    if answer.status >= 400:
                        raise RuntimeError(f"{method} {path}: {answer.status} {result}")
                    return result["data"]
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
        raise RuntimeError(f"{method} {path}: the API did not answer")

    async def admin(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The fake platform's control API."""
        method = "GET" if body is None else "POST"
        async with self.session.request(method, f"{self.platform_url}/__admin/{path}", json=body) as answer:
            return await answer.json()

    async def _emulator(self, module: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, "--port", "0", *arguments,
            stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
        self._processes.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        if not line:
            raise RuntimeError(f"{module} did not start")
        url: str = json.loads(line)["url"]
        return url

    async def _connect(self, username: str, price: float) -> None:
        theirs = await self.admin(
            "accounts", {"username": username, "name": username.title(), "subscribe_price": price}
        )
        self.platform_accounts[username] = theirs["id"]
        made = await self.api(
            "POST", "connected-accounts", {"provider_account_id": theirs["id"], "api_key": "test-key"}
        )
        self.account_ids[username] = made["id"]
        hook = {
            "endpoint_url": made["webhook_url"],
            "signing_secret": made["webhook_secret"],
            "events": ["subscriptions.new", "subscriptions.renewed", "transactions.new", "tips.received", "messages.received",
                       "messages.ppv.unlocked", "accounts.session_expired", "accounts.reconnected"],
            "account_scope": "inclusive",
            "account_ids": [theirs["id"]],
        }  # fmt: skip
        headers = {"Authorization": "Bearer test-key"}
        async with self.session.post(f"{self.platform_url}/api/webhooks", json=hook, headers=headers) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"the fake platform refused the webhook: {await answer.text()}")

    async def _fill_pools(self, progress: Callable[[str], None]) -> None:
        offers = {(username, "tracking" if days is None else f"trial-{days}") for username, _, days in LINKS.values()}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            accounts = {
                account["username"]: account["pooled_links"] for account in await self.api("GET", "connected-accounts")
            }
            ready = [accounts.get(username, {}).get(offer, 0) for username, offer in offers]
            progress(f"Filling the pools with links: {sum(ready)} of {self.settings.pool_target * len(offers)}")
            if min(ready) >= self.settings.pool_target:
                return
            await asyncio.sleep(0.5)
        raise RuntimeError("the pools were not filled within a minute; run with CLICKBIND_LOG_LEVEL=debug to see why")

    async def _wait_for(self, url: str, what: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                async with self.session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{what} did not get ready within 30 s; run with CLICKBIND_LOG_LEVEL=info to see why")
