"""`funding verify`: raw beside normalised, and the three ways in which there may be nothing."""

import pytest

from funding_pipeline.sandbox.faults import Fault
from funding_pipeline_tests.cli.conftest import Run, Serve, requests


def test_raw_and_normalised_stand_side_by_side(run: Run, serve: Serve) -> None:
    url = serve()
    result = run("verify", "lighter")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Lighter (http://127.0.0.1:")
    assert any("percent per interval, the direction that pays" in line for line in lines)
    assert "BTC: BTC / USDC, settles in USDC, declared interval 1 h" in result.output
    row = next(line for line in lines if line.count(":00:00.000") == 1 and "%" in line).split()
    raw, hours, rate, hourly, apr = row[6], row[7], row[8], row[9], row[10]
    assert hours == "1"
    assert float(rate) == pytest.approx(float(raw) / 100)
    assert float(hourly) == pytest.approx(float(rate), rel=1e-3)
    assert float(apr) == pytest.approx(float(raw) * 8760, abs=1e-4)
    assert lines[-1] == "verdict: good: 48 settlements in the last 48 hours"
    assert sum(requests(url)["lighter"].values()) <= 4, "a handful of requests"


def test_a_market_of_another_interval(run: Run, serve: Serve) -> None:
    serve()
    result = run("verify", "bybit", "--market", "ETHUSDT")
    assert result.exit_code == 0
    assert "declared interval 8 h" in result.output
    assert result.output.splitlines()[-1] == "verdict: good: 6 settlements in the last 48 hours"


def test_where_nothing_can_be_compared_it_says_so(run: Run, serve: Serve) -> None:
    serve()
    result = run("verify", "variational")
    assert result.exit_code == 0
    assert "running estimate: raw" in result.output
    assert "there is no history to compare with" in result.output


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault(kind="geo_block"), "blocked from this location: HTTP 403"),
        (Fault(kind="legal_block"), "blocked from this location: HTTP 451"),
        (Fault(kind="html_200"), "a web page instead of JSON"),
        (Fault(kind="nan_rate", endpoint="funding/history", row=1), "rows make no sense"),
        (Fault(kind="missing_field", endpoint="funding/history"), "malformed answer"),
    ],
)
def test_what_is_wrong_is_told(run: Run, serve: Serve, fault: Fault, verdict: str) -> None:
    serve(fault)
    result = run("verify", "bybit")
    assert result.exit_code == 1
    assert verdict in result.output.splitlines()[-1]


def test_down_is_not_blocked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_SANDBOX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FUNDING_LIMITS", "off")
    monkeypatch.setattr("funding_pipeline.collection.client._wait", lambda _: 0.0)
    result = run("verify", "bybit")
    assert result.exit_code == 1
    assert "verdict: bybit instruments-info: unreachable: 127.0.0.1" in result.output


def test_no_data_is_neither(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(Fault(kind="delisted", exchange="bybit", market="ETHUSDT", time=1_700_000_000_000))
    result = run("verify", "bybit", "--market", "ETHUSDT")
    assert result.exit_code == 1
    assert "no data: the exchange answered" in result.output.splitlines()[-1] or (
        "no market ETHUSDT" in result.output.splitlines()[-1]
    )


def test_bad_usage(run: Run) -> None:
    assert run("verify", "nope").exit_code == 2
