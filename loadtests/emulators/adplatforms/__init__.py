"""Fake ad platforms that enforce the real rules: Meta, TikTok, Snapchat, CreatorTraffic, OnlyAutomator.

In a test: `async with running_adplatforms() as ads:` and point a sender at `ads.url_of("meta")` and its siblings;
from a shell: `python -m loadtests.emulators.adplatforms --port 0`. The accepted token is `test-token` until others
are granted. `meta.inspect(event, now)`, `tiktok.inspect`, `snapchat.inspect` judge one event without any server.

Control API, all under `/__admin`:
- `POST mode {platform, pixel?, mode, ...}`: see `faults.Mode`; `{platform, mode: "ok"}` ends it.
- `POST tokens {platform, token, pixel?, expires_in?}` or `{platform, token, revoked: true}`.
- `GET events?platform=&pixel=`: unique events with counts of duplicates. `GET counts`: totals only.
- `GET requests?platform=&pixel=`: raw, with headers. `GET violations?platform=&pixel=&severity=`.
- `POST clock/advance {seconds}`, `GET clock`, `POST reset`.
"""

from .app import PLATFORMS, AdPlatforms, running_adplatforms
from .verdicts import Call, Finding, Verdict

__all__ = ["PLATFORMS", "AdPlatforms", "Call", "Finding", "Verdict", "running_adplatforms"]
