"""The row checks over all recorded settlements: not one is refused."""

from pathlib import Path

import pytest

from funding_pipeline_tests.domain.row_check_alarms import alarms_of, all_alarms


def test_a_recording_with_caps_raises_no_alarm(recorded_dir: Path) -> None:
    found = alarms_of(recorded_dir / "okx.parquet")
    assert (found.by_check.total(), found.rows) == (0, 11_589)
    assert found.capped > 5_000


@pytest.mark.slow
def test_no_recorded_settlement_is_refused_and_only_holes_are_told(recorded_dir: Path) -> None:
    found = {each.name: each for each in all_alarms(recorded_dir)}
    assert {name: each.by_check.total() for name, each in found.items() if each.by_check} == {}
    assert sum(each.rows for each in found.values()) == 2_564_906
    # The venue's own holes are told, each in its hour; where nothing is missing, nothing.
    hours = set(found["hyperliquid"].by_finding["no rows"])
    assert {1723726800 // 3600, 1692820800 // 3600, 1688328000 // 3600} <= hours
    for name in ("dydx", "dydx_v3", "hyperliquid_xyz", "kucoin", "mexc"):
        assert not any(found[name].by_finding.values()), name
