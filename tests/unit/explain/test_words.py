"""How explanations are worded."""

from __future__ import annotations

import pytest

from tracker.explain.words import chance, span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7100, "118 min"),
        (7260, "2 h 1 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(("probability", "said"), [(1.0, "100 %"), (0.9999, "99.9 %"), (0.5, "50.0 %"), (0.0, "0.0 %")])
def test_only_certainty_is_called_so(probability: float, said: str) -> None:
    assert chance(probability) == said
