"""The whole performance table in one command: `python -m loadtests.performance`.

Runs every benchmark one after the other as its own process, prints each budget, what was reached and whether it holds, and
writes docs/performance.md when all parts were run. Absolute figures belong to the machine they were taken on; the ratios are
taken within one run. Takes about a quarter of an hour; the machine should do nothing else.

    python -m loadtests.performance                      # everything, reports over 1,000,000 generated clicks
    python -m loadtests.performance --report-folder F    # reports over a database made by `loadtests.reports generate`
    python -m loadtests.performance redirect footprint   # these parts only, printed and not written
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.budgets import judge, table

OUTPUT = Path(__file__).parent.parent / "docs" / "performance.md"
LONGEST = 3600.0  # seconds one benchmark may take
COMMANDS: dict[str, list[str]] = {
    "redirect": ["loadtests.redirect", "--json"],
    "redirect_flat": ["loadtests.redirect_flat", "--json"],
    "recorder": ["loadtests.recorder", "--json"],
    "catching_up": ["loadtests.catching_up", "--json"],
    "inbox": ["loadtests.inbox_rate", "--json"],
    "attribution": ["loadtests.attribution_rate", "--json"],
    "delivery": ["loadtests.delivery", "--json"],
    "reports": ["loadtests.reports", "run", "--json"],
    "footprint": ["loadtests.footprint", "--json"],
}  # fmt: skip


def machine() -> str:
    """What it ran on."""
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GiB, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}"
    )


def commit() -> str:
    """The commit measured, and whether the tree differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=OUTPUT.parent)
        return done.stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    return (
        f"{name}, with changes" if name and git("status", "--porcelain", "--untracked-files=no") else name or "unknown"
    )


def run(command: list[str]) -> Any:
    """A benchmark's JSON; None, said on standard error, when it gave none. A missed budget is no failure here."""
    done = subprocess.run(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, timeout=LONGEST, check=False
    )
    lines = done.stdout.splitlines()  # a server's log may stand before the figures
    start = next((number for number, line in enumerate(lines) if line.startswith("{")), len(lines))
    try:
        return json.loads("\n".join(lines[start:]))
    except json.JSONDecodeError:
        print(f"{command[0]}: exit code {done.returncode}, no figures", file=sys.stderr)
        return None


def measure(parts: list[str], report_folder: str, report_clicks: int) -> dict[str, Any]:
    """The figures of these parts."""
    figures: dict[str, Any] = {}
    for name in parts:
        began = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        if name == "reports" and not report_folder:
            with tempfile.TemporaryDirectory(prefix="cb-reports-") as folder:
                Path(folder).chmod(0o711)
                made = ["loadtests.reports", "generate", "--clicks", str(report_clicks), "--folder", folder]
                subprocess.run([sys.executable, "-m", *made], stdout=sys.stderr, timeout=LONGEST, check=True)
                found = run([*COMMANDS[name], "--folder", folder])
        else:
            found = run([*COMMANDS[name], *(["--folder", report_folder] if name == "reports" else [])])
        if found is not None:
            figures[name] = found
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def document(figures: dict[str, Any], reports_over: str, load: float) -> str:
    """docs/performance.md."""
    rows = judge(figures)
    holds = sum(row.verdict == "holds" for row in rows)
    return "\n".join(
        (
            "# Performance",
            "",
            f"Output of `python -m loadtests.performance`: {holds} of {len(rows)} budgets hold.",
            "",
            f"- Machine: {machine()}. Load before the run: {load:.1f}.",
            f"- Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC at commit {commit()}. Reports over {reports_over}.",
            "- Ratios are taken within one run, both sides on the same machine; absolute figures belong to this machine.",
            "  Driver, edge and Valkey share its cores.",
            "",
            table(rows),
            "",
        )
    )


def main() -> int:
    """Run, print, write. The exit code says whether every budget that was measured holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(COMMANDS)} (default: all)")
    parser.add_argument("--report-folder", default="", help="a database that `loadtests.reports generate` made")
    parser.add_argument(
        "--report-clicks", type=int, default=1_000_000, help="clicks to generate, or that the database has"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    unknown = set(options.parts) - set(COMMANDS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]
    figures = measure(options.parts or list(COMMANDS), options.report_folder, options.report_clicks)
    over = f"{options.report_clicks:,} clicks"
    text = document(figures, over, load)
    print(text)
    if not options.parts:
        options.output.write_text(text)
    return 0 if all(row.verdict != "falls short" for row in judge(figures)) else 1


if __name__ == "__main__":
    sys.exit(main())
