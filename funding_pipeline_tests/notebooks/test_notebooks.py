"""The example notebooks run from top to bottom, without a network, and show what they promise."""

import importlib.util
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from math import fsum
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline_tests.client.made_up import NEWEST, paid, store

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.py"))

# As `python notebooks/...` does, but nothing may be reached.
OFFLINE = """
import runpy, socket, sys
def forbidden(*_):
    raise AssertionError("a notebook asked the network")
socket.socket.connect = socket.getaddrinfo = forbidden
runpy.run_path(sys.argv[1], run_name="__main__")
"""

Defined = dict[str, Any]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    store(Database(Settings(data_dir=folder)))
    return folder


@pytest.fixture
def run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Defined]:
    """Runs a notebook in this process; gives what its cells defined."""
    monkeypatch.setenv("FUNDING_DATA_DIR", str(data_dir))

    def execute(name: str) -> Defined:
        spec = importlib.util.spec_from_file_location(name, PROJECT / "notebooks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        notebook = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(notebook)
        outputs, defined = notebook.app.run()
        return {**defined, "outputs": outputs}

    return execute


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["funding_arbitrage", "what_pays_most"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_without_a_network(path: Path, data_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE, str(path)],
        cwd=tmp_path,
        env={**os.environ, "FUNDING_DATA_DIR": str(data_dir), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_pays_most(run: Callable[[str], Defined]) -> None:
    found = run("what_pays_most")
    assert set(found["latest"]["asset"]) == {"BTC", "ETH"}, "OLD does not settle any more"
    hourly: dict[tuple[str, str], list[float]] = defaultdict(list)
    for r in paid():
        if NEWEST - timedelta(days=7) < r.time:
            hourly[r.exchange, r.market] += [r.rate / r.interval] * r.interval
    means = {market: fsum(rates) / len(rates) for market, rates in hourly.items()}
    order = sorted(means, key=lambda market: -abs(means[market]))
    assert found["week"].select("exchange", "market").rows() == order
    assert found["week"]["rate_hourly_mean"].to_list() == pytest.approx(
        [means[market] for market in order], rel=1e-9
    )
    assert found["of_assets"]["asset"].to_list() == ["BTC", "ETH"]
    assert found["heat_map"].startswith(b"\x89PNG")
    assert found["lines"].startswith(b"\x89PNG")
    assert sum(isinstance(output, Figure) for output in found["outputs"]) == 1


def test_funding_arbitrage(run: Callable[[str], Defined]) -> None:
    """The widest pair of a week ending 14 days ago, and what it paid since, summed up by hand."""
    found = run("funding_arbitrage")
    assert not found["spreads"].is_empty()
    assert found["bars"].startswith(b"\x89PNG")
    then = NEWEST - timedelta(days=14)

    def received_by_shorts(exchange: str, symbol: str, *, before: bool) -> float:
        return fsum(
            r.rate
            for r in paid()
            if (r.exchange, r.symbol) == (exchange, symbol)
            and (then - timedelta(days=7) < r.time <= then if before else r.time > then)
        )

    pair = found["earned"].filter(asset="BTC").row(0, named=True)
    legs = {
        exchange: received_by_shorts(exchange, "BTC", before=True)
        # Bybit's has a hole in that week, and is no candidate.
        for exchange in ("hyperliquid", "okx")
    }
    assert pair["long_exchange"] == min(legs, key=lambda name: legs[name])
    assert pair["short_exchange"] == max(legs, key=lambda name: legs[name])
    promised = (legs[pair["short_exchange"]] - legs[pair["long_exchange"]]) / 168 * 8760
    assert pair["promised"] == pytest.approx(promised, rel=1e-9)
    funding = received_by_shorts(pair["short_exchange"], "BTC", before=False)
    funding -= received_by_shorts(pair["long_exchange"], "BTC", before=False)
    assert pair["funding"] == pytest.approx(funding, rel=1e-9)
    assert pair["net"] == pytest.approx(funding - pair["paid"], rel=1e-9)
    assert pair["paid"] == 2 * (pair["long_fee"] + pair["short_fee"]) > 0
    widest = found["earned"].row(0, named=True)
    assert found["grown"]["both"].last() == pytest.approx(widest["net"], rel=1e-9)
    assert sum(isinstance(output, Figure) for output in found["outputs"]) == 2


def test_on_an_afternoon_of_data_they_still_run(
    database: Database, run: Callable[[str], Defined], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(database, end=8)
    monkeypatch.setenv("FUNDING_DATA_DIR", str(database.path.parent))
    assert not run("what_pays_most")["latest"].is_empty()
    found = run("funding_arbitrage")
    assert found["bars"] is None
    assert not found["left_out"].is_empty()
    assert "earned" not in found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_as_marimo_writes_them(path: Path) -> None:
    """Opening and saving changes nothing."""
    marimo = Path(sys.executable).with_name("marimo")
    done = subprocess.run(
        [marimo, "check", "--strict", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
