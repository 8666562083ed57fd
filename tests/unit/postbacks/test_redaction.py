"""What is stored about an attempt holds no secrets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from postbacks import redaction
from postbacks.attempt import describe
from postbacks.destinations import postback
from postbacks.destinations.base import Item
from postbacks.facts import SAMPLE
from postbacks.redaction import redact, redact_all, secret_parameters, storable

HAPPENED = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://h/p?token=abc&x=1", "https://h/p?token=***&x=1"),
        ("https://h/p?x=1&access_token=abc", "https://h/p?x=1&access_token=***"),
        ("https://h/p?API_KEY=abc&apiKey=d&api-key=e", "https://h/p?API_KEY=***&apiKey=***&api-key=***"),
        (
            "https://h/p?key=a&sig=b&password=c&client_secret=d",
            "https://h/p?key=***&sig=***&password=***&client_secret=***",
        ),
        ("https://h/p?click_id=1&keyword=shoes&monkey=2", "https://h/p?click_id=1&keyword=shoes&monkey=2"),
        ('{"access_token": "a\\"b", "n": 1}', '{"access_token": "***", "n": 1}'),
        ('{"secret":12, "n": 1}', '{"secret":"***", "n": 1}'),
        ("token=abc&x=1", "token=***&x=1"),
    ],
)
def test_secret_looking_parameters_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked


def test_known_values_are_masked_wherever_they_turn_up() -> None:
    assert redact("you sent Bearer s3cr3t!", ["s3cr3t!"]) == "you sent Bearer ***!".replace("***!", "***")
    assert redact("a b a", ["a"]) == "a b a"


@pytest.mark.parametrize("hidden", ["token=abc", '{"api_key":"abc"}', "by s3cr3t!"])
def test_a_secret_in_one_text_of_many_is_masked_there(hidden: str) -> None:
    texts = ["first", hidden, "last"]
    assert redact_all(texts, ["s3cr3t!"]) == [redact(text, ["s3cr3t!"]) for text in texts]
    assert redact_all(texts, ["s3cr3t!"])[1] != hidden
    assert redact_all(["first", "last"], ["s3cr3t!"]) == ["first", "last"]


def test_secret_parameters_are_found_in_templates() -> None:
    assert set(secret_parameters("https://h/?x={click_id}&token=a%2Bb")) == {"a%2Bb", "a+b"}


def test_storable_text_is_what_postgresql_takes() -> None:
    assert storable("a\x00b\ud800c", 10) == "a\ufffdb?c"
    assert storable("abcdef", 3) == "abc"


def test_a_request_is_described_without_its_secrets() -> None:
    destination = postback.load(
        {
            "url": "https://h.example/p?id={conversion_id}&key=query-secret",
            "method": "POST",
            "headers": {"X-Source": "clickbind", "X-Api-Key": "header-secret"},
            "body": '{"id": "{conversion_id}", "password": "body-secret", "echo": "sealed-secret"}',
        },
        {"Authorization": "Bearer sealed-secret"},
    )
    item = Item("e1", "new_transaction", HAPPENED, SAMPLE)
    request = destination.render([item])
    assert request.headers["Authorization"] == "Bearer sealed-secret"
    assert request.headers["Content-Type"] == "application/json"
    text = describe(request, destination.secrets)
    assert "secret" not in text
    assert text.startswith("POST https://h.example/p?id=cnv_sample_0001&key=***\n")
    assert "X-Source: clickbind" in text
    assert "Authorization: ***" in text


def test_every_secret_name_is_found_by_its_hint() -> None:
    for name in (*redaction._PARTS, *redaction._WHOLE):
        assert redact(f"https://h/p?{name}=hush") == f"https://h/p?{name}=***", name
