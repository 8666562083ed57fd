"""The event: what happened, frozen, independent of where it is delivered."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True):
    """One event to be told to destinations.

    event_id is the conversion id (or click id), unique and never changing; event_type is a conversion type slug of spec
    section 5; occurred_at is timezone-aware; facts maps template variables (and other keys destinations read) to text.
    """

    event_id: str
    event_type: str
    occurred_at: datetime
    team_id: str
    smart_link_id: str
    facts: dict[str, str]
