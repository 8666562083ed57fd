"""A fake creator platform: one world seen through OnlyFansAPI (Fansly included), Onlymonster and OFAuth, with
webhooks, fan-facing landing pages, and a control API.

In a test: `async with running_platform(seed=1) as platform:`; from a shell:
`python -m loadtests.emulators.platform --port 0 --speed fast`.
"""

from .app import Platform, running_platform
from .settings import Settings, preset
from .world import World

__all__ = ["Platform", "Settings", "World", "preset", "running_platform"]
