"""The request examples in docs/requests are what the product sends today."""

from __future__ import annotations

from loadtests.requests import FOLDER, TOKEN, examples


def test_the_examples_are_up_to_date() -> None:
    made = dict(examples())
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert kept == made, "run `python -m loadtests.requests`"
    assert {name.partition("-")[0] for name in made} >= {"meta", "tiktok", "snapchat", "creatortraffic"}
    assert not any(TOKEN in content for content in made.values())
