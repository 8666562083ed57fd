"""Ad network presets: templates that can be filled in, and what the networks' answers mean."""

from __future__ import annotations

import re

import pytest

from postbacks.destinations import postback
from postbacks.destinations.networks import PRESETS
from postbacks.egress import Answer
from tests.unit.postbacks.clicks import item

EXOCLICK = "https://s.magsrv.com/tag.php?goal=abc&tag={external_click_id}"
TRAFFICSTARS = "https://tsyndicate.com/api/v1/cpa/action?clickid={external_click_id}&key=k12345&goalid=0"
STRANGER = "https://tracker.example/p?id={external_click_id}"


@pytest.mark.parametrize("name", PRESETS)
def test_a_filled_in_preset_is_a_valid_postback(name: str) -> None:
    preset = PRESETS[name]
    assert set(re.findall(r"<(\w+)>", preset.url)) == set(preset.fields)
    url = re.sub(r"<(\w+)>", lambda found: "h.example" if found[1] == "host" else "x1", preset.url)
    rendered = postback.load({"url": url}, {}).render([item(facts={"external_click_id": "Click/1"})]).url
    assert "Click%2F1" in rendered


@pytest.mark.parametrize(
    ("url", "body", "outcome"),
    [
        (EXOCLICK, "OK", "delivered"),
        (EXOCLICK, "ERROR: This conversion has already been notified and saved.", "delivered"),
        (EXOCLICK, "ERROR: Tag is invalid!", "permanent"),
        (EXOCLICK, "No tag data.", "permanent"),
        (EXOCLICK, "Goal ID is invalid.", "permanent"),
        (TRAFFICSTARS, '{"ok": true}', "delivered"),
        (TRAFFICSTARS, '{"ok": false, "error": {"msg": "clickid is short"}}', "permanent"),
        (TRAFFICSTARS, '{"error": {"msg": "getting click error: invalid clickid"}}', "permanent"),
        (TRAFFICSTARS, '{"ok": false}', "transient"),
        (TRAFFICSTARS, "<html>", "delivered"),
        (STRANGER, "ERROR: Tag is invalid!", "delivered"),
    ],
)
def test_what_is_said_in_a_200_counts_where_it_is_known(url: str, body: str, outcome: str) -> None:
    verdict = postback.load({"url": url}, {}).judge([item()], Answer(200, "OK", {}, body.encode()))[0]
    assert verdict.outcome == outcome
