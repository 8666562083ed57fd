"""The locust run: a few seconds of the mix against the whole product, its books balanced; and a wrong book is noticed."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

from loadtests.demo.stage import Stage
from loadtests.locust_traffic import KINDS, PLATFORMS, Traffic
from loadtests.locust_truth import Truth, balance

LOCUSTFILE = Path(__file__).parent.parent.parent / "loadtests" / "locustfile.py"


async def test_a_short_run_balances(stage: Stage) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "-u", "4", "-r", "4", "-t", "6s",
        "--host", stage.settings.base_url, "--api", f"http://127.0.0.1:{stage.settings.api_port}",
        "--api-key", stage.api_key, "--platform", stage.platform_url, "--only-summary",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=LOCUSTFILE.parent.parent,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 110)
    said = out.decode()
    assert process.returncode == 0, said
    books = [line for line in said.splitlines() if line.startswith(("ok ", "!! "))]
    assert len(books) == 4 + 4 * len(stage.smart_links)
    assert all(line.startswith("ok ") for line in books)
    figures = {line[3:50].strip(): float(line.split()[-1].replace(",", "")) for line in books}
    assert sum(count for name, count in figures.items() if name.startswith("clicks of")) > 20
    assert figures["subscribers"] > 0
    assert figures["revenue"] > 0
    assert stage.api_key not in said


def test_a_lost_click_a_doubled_fan_and_a_missing_cent_are_noticed() -> None:
    row = {
        "clicks_count": 10,
        "gross_clicks_count": 12,
        "bots_count": 1,
        "prefetches": 0,
        "subscribers_count": 1,
        "revenue": 9.99,
    }
    truth = Truth(fans={"f1"})
    truth.clicked("L", again=False)
    truth.clicked("L", again=True)
    truth.counted("L", "bots")
    before = {"L": row}
    right = row | {
        "clicks_count": 11,
        "gross_clicks_count": 14,
        "bots_count": 2,
        "subscribers_count": 2,
        "revenue": 19.98,
    }
    assert all(book.balances for book in balance(truth, before, {"L": right}, 9.99))

    def wrong(**changes: float | str) -> list[str]:
        return [book.name for book in balance(truth, before, {"L": right | changes}, 9.99) if not book.balances]

    assert wrong(clicks_count=10) == ["clicks of L"]
    assert wrong(gross_clicks_count=15) == ["visits of L"]
    assert wrong(bots_count=1) == ["bots of L"]
    assert wrong(prefetches=1) == ["prefetches of L"]
    assert wrong(subscribers_count=3) == ["subscribers"]
    assert wrong(revenue="19.97") == ["revenue"]
    truth.unsure = 1
    assert wrong() == ["requests without an answer"]


def test_the_mix_has_every_kind_and_no_ecid_twice() -> None:
    traffic = Traffic(["A", "B"], 1)
    visits = [traffic.next()[1] for _ in range(4000)]
    kinds, platforms = Counter(visit.kind for visit in visits), Counter(visit.platform for visit in visits)
    assert set(kinds) == set(KINDS)
    assert set(platforms) == set(PLATFORMS)
    assert len({visit.path.partition("ecid=")[2].partition("&")[0] for visit in visits}) == len(visits)
    assert all(visit.path.isascii() and len(visit.path) < 500 for visit in visits)
    assert all(("Sec-Purpose" in visit.headers) == (visit.kind == "prefetch") for visit in visits)
    assert any("ttclid=" in visit.path for visit in visits if visit.platform == "tiktok")
