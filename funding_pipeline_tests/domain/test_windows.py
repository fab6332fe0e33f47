"""Names of windows: what they mean, and which are refused."""

import pytest
from pydantic import ValidationError

from funding_pipeline.domain.windows import DEFAULT_WINDOWS, windows_hours
from funding_pipeline.settings import Settings


def test_hours_and_days() -> None:
    assert windows_hours(DEFAULT_WINDOWS) == {
        "24h": 24,
        "3d": 72,
        "7d": 168,
        "14d": 336,
        "30d": 720,
    }
    assert list(windows_hours(["90d", "36h", "8h"]).items()) == [
        ("8h", 8),
        ("36h", 36),
        ("90d", 2160),
    ]


@pytest.mark.parametrize(
    "names", [[], ["7"], ["d"], ["0h"], ["07d"], ["7 d"], ["1w"], ["367d"], ["1d", "24h"]]
)
def test_what_says_nothing_or_the_same_twice_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="window"):
        windows_hours(names)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().windows == DEFAULT_WINDOWS
    monkeypatch.setenv("FUNDING_WINDOWS", "30d, 8h")
    assert Settings().windows == ("8h", "30d")
    monkeypatch.setenv("FUNDING_WINDOWS", "30d,720h")
    with pytest.raises(ValidationError, match="as long"):
        Settings()
