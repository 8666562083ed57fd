"""A realistic mix of visitors against a running Clickbind, checked against what they really did.

    clickbind demo                                  # or: clickbind up, with an account connected and smart links made
    locust -f loadtests/locustfile.py --headless -u 50 -r 10 -t 60s --api http://127.0.0.1:8401 --api-key cb_... \\
        --platform http://127.0.0.1:PORT            # the fake platform, for subscriptions and spending; without it, clicks only

`--host` is the edge, http://127.0.0.1:8400 unless given: nothing leaves this machine by accident. At the end the smart links'
counters, read from the API, must have grown by exactly what was done; otherwise the exit code is 1. Nobody else may use the
links meanwhile. Truth is kept in one process: do not distribute the run.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.runners import MasterRunner, WorkerRunner

from loadtests.locust_traffic import Traffic, Visit
from loadtests.locust_truth import Book, Truth, balance

EDGE = "http://127.0.0.1:8400"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
STEADY_SECONDS = 1.5


class Run:
    """What all users of the run share."""

    def __init__(self) -> None:
        self.truth = Truth()
        self.api = self.api_key = self.platform = ""
        self.before: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, str] = {}  # username → the platform's account id
        self.usernames: dict[str, str] = {}  # smart link → its account's username
        self.traffic: Traffic

    def ask(self, url: str, body: dict[str, Any] | None = None) -> Any:
        """JSON of the API or of the fake platform. Raises OSError."""
        headers = {"Content-Type": "application/json"}
        if url.startswith(self.api):
            headers["Authorization"] = f"Bearer {self.api_key}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return json.loads(answer.read())

    def links(self) -> dict[str, dict[str, Any]]:
        """The active smart links by id, as the API shows them now."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self.ask(f"{self.api}/api/smart-links?limit=50&offset={len(found)}")["data"]
            found |= {row["id"]: row for row in page}
            if len(page) < 50:
                return {name: row for name, row in found.items() if row["state"] == "active"}

    def steady(self) -> dict[str, dict[str, Any]]:
        """The links once their counters rest."""
        last = self.links()
        while True:
            gevent.sleep(STEADY_SECONDS)
            now = self.links()
            if now == last:
                return now
            last = now

    def revenue(self) -> float:
        """Dollars that the run's fans have paid, as the platform knows."""
        if not self.platform:
            return 0.0
        fans = [
            fan for fan in self.ask(f"{self.platform}/__admin/truth")["fans"] if str(fan["fan_id"]) in self.truth.fans
        ]
        return round(sum(float(payment["amount"]) for fan in fans for payment in fan["transactions"]), 2)


RUN = Run()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def add_options(parser: Any) -> None:
    """Where API and fake platform are."""
    parser.add_argument("--api", default="http://127.0.0.1:8401", help="the management API")
    parser.add_argument(
        "--api-key", default=os.environ.get("CLICKBIND_API_KEY", ""), is_secret=True, help="or CLICKBIND_API_KEY"
    )
    parser.add_argument("--platform", default="", help="the fake platform, for subscriptions and spending")
    parser.add_argument("--seed", type=int, default=1, help="of the visitors")
    parser.add_argument("--settle", type=float, default=60.0, help="seconds until the counters must be right")


@events.test_start.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def prepare(environment: Any, **_: Any) -> None:
    """Read the links before anybody comes."""
    environment.stop_timeout = (
        environment.stop_timeout or 20
    )  # a visitor stopped in mid-request would be clicks without an answer
    options = environment.parsed_options
    if isinstance(environment.runner, (MasterRunner, WorkerRunner)):
        raise SystemExit(
            "locust: the truth of this run is kept in one process; leave out --master, --worker and --processes"
        )
    host = environment.host or EDGE
    if urlsplit(host).hostname not in LOOPBACK:
        print(f"Load goes to {host}, as --host says.")
    RUN.api, RUN.api_key, RUN.platform = options.api.rstrip("/"), options.api_key, options.platform.rstrip("/")
    RUN.before = RUN.steady()
    if not RUN.before:
        raise SystemExit("locust: the team has no active smart link")
    RUN.usernames = {name: row["account"]["username"] for name, row in RUN.before.items()}
    if RUN.platform:
        RUN.accounts = {row["username"]: row["id"] for row in RUN.ask(f"{RUN.platform}/__admin/accounts")}
    RUN.traffic = Traffic(sorted(RUN.before), options.seed)


@events.test_stop.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def check(environment: Any, **_: Any) -> None:
    """Balance the books, waiting for what is under way."""
    deadline = time.monotonic() + environment.parsed_options.settle
    while True:
        books = balance(RUN.truth, RUN.before, RUN.links(), RUN.revenue())
        if all(book.balances for book in books) or time.monotonic() > deadline:
            break
        gevent.sleep(0.5)
    report(books)
    environment.process_exit_code = 0 if all(book.balances for book in books) else 1


def report(books: list[Book]) -> None:
    """The books for a person."""
    print(f"\n{'':2}{'what':48} {'expected':>12} {'found':>12}")
    for book in books:
        print(f"{'ok' if book.balances else '!!'} {book.name:47} {book.expected:12,.2f} {book.found:12,.2f}")
    for words in RUN.truth.wrong[:10]:
        print(f"!! {words}")


class Visitor(FastHttpUser):
    """Somebody new at each task."""

    host = EDGE
    wait_time = constant_throughput(10)  # type: ignore[no-untyped-call, unused-ignore]
    connection_timeout = network_timeout = 10.0

    @task
    def come(self) -> None:
        """One visit of the mix."""
        link, visit = RUN.traffic.next()
        self._forget_cookies()
        if visit.kind == "bot":
            self._go(link, visit, "bots")
        elif visit.kind == "prefetch":
            self._go(link, visit, "prefetches", status=403)
        else:
            place = self._go(link, visit)
            if place and visit.kind in ("double_tap", "return"):
                if visit.kind == "double_tap":  # no cookie yet
                    self._forget_cookies()
                if self._go(link, visit, again=True) != place:
                    RUN.truth.wrong.append(f"{visit.path}: a second visit went to another link")
            elif place and visit.kind == "subscriber" and RUN.platform:
                self._subscribe(link, visit, place)

    def _forget_cookies(self) -> None:
        jar = self.client.client.cookiejar
        if jar is not None:
            jar.clear()

    def _go(self, link: str, visit: Visit, counted: str = "", status: int = 302, again: bool = False) -> str:
        """Ask for the link; where it leads, '' without an answer."""
        name = f"{visit.platform} {visit.kind}{' again' if again else ''}"
        with self.client.get(
            visit.path, headers=visit.headers, name=name, allow_redirects=False, catch_response=True
        ) as answer:
            if answer.status_code == 0:
                RUN.truth.unsure += 1
                return ""
            if answer.status_code != status:
                RUN.truth.wrong.append(f"{visit.path}: {visit.kind} answered {answer.status_code}")
                answer.failure(f"answered {answer.status_code}")
                return ""
            answer.success()
            place = answer.headers.get("Location") or ""
        if counted:
            RUN.truth.counted(link, counted)
        else:
            RUN.truth.clicked(link, again)
        return place

    def _subscribe(self, link: str, visit: Visit, place: str) -> None:
        account = RUN.accounts[RUN.usernames[link]]
        admin = f"{RUN.platform}/__admin/fans"
        made = RUN.ask(f"{admin}/subscribe", {"account_id": account, "link_url": place, "click": False})
        RUN.truth.fans.add(str(made["fan_id"]))
        for dollars in visit.spends:
            RUN.ask(f"{admin}/tip", {"account_id": account, "fan_id": made["fan_id"], "amount": dollars})
