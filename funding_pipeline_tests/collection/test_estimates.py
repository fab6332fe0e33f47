"""Sampling: all exchanges side by side, into predicted_rates, a failing one alone."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from funding_pipeline.collection.estimates import sample_estimates
from funding_pipeline.domain.records import Estimate
from funding_pipeline.exchanges.base import EstimatesPlan, RateLimit, Request
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOXED
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database, timestamp
from funding_pipeline.warehouse.ledger import MixedOriginError
from funding_pipeline_tests.collection.fakes import FakeExchange

NOW = datetime(2026, 9, 20, 11, 56)
NOW_MS = 1_789_905_360_000


class Estimating(FakeExchange):
    """Names two markets and estimates one of them."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        super().__init__(name, limits=(RateLimit(100, 1.0),))
        self._fault = fault

    def estimates(self) -> EstimatesPlan:
        yield Request(endpoint="estimates", path="/estimates")
        if self._fault is not None:
            raise self._fault
        return [Estimate(market="AAA", rate=0.0001, raw_rate="0.0001", interval_hours=8)]


class Network:
    """Answers at once, or not with 200, instead of any socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: dict[str, int]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._status = status

        def client(**_: Any) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.MockTransport(self))

        monkeypatch.setattr("httpx_aiohttp.HttpxAiohttpClient", client)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        exchange, endpoint = request.url.host.split(".")[0], request.url.path.strip("/")
        self.asked.append((exchange, endpoint))
        status = self._status.get(exchange, 200)
        return httpx.Response(status, json=["AAA", "BBB"] if endpoint == "markets" else [])


def predicted(settings: Settings) -> list[tuple[Any, ...]]:
    with Database(settings).open() as connection:
        return connection.execute(
            "SELECT exchange, market, rate FROM predicted_rates ORDER BY ALL"
        ).fetchall()


def faked(*names: str, **faults: Exception) -> list[Any]:
    made = [Estimating(name, faults.get(name)) for name in names]
    for exchange in made:
        changes = {"origins": {"": f"https://{exchange.spec.name}.invalid"}}
        fields = {f: getattr(exchange.spec, f) for f in exchange.spec.__slots__}
        exchange.spec = type(exchange.spec)(**fields | changes)
    return made


def test_a_new_exchange_is_listed_first_and_a_known_one_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, {})
    (report,) = sample_estimates(faked("one"), settings, Database(settings))
    assert (report.exchange, report.markets, report.requests, report.error) == ("one", 1, 2, None)
    (report,) = sample_estimates(faked("one"), settings, Database(settings))
    assert report.requests == 1
    assert network.asked == [("one", "markets"), ("one", "estimates"), ("one", "estimates")]
    assert predicted(settings) == [("one", "AAA", 0.0001)] * 2


@pytest.mark.parametrize(
    "fault", [None, ValueError("a defect"), ZeroDivisionError("another"), OSError("disk full")]
)
def test_one_that_fails_is_reported_and_stops_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    """Refused by the exchange (no fault of ours), or broken by a defect of its module."""
    Network(monkeypatch, {} if fault else {"bad": 404})
    exchanges = faked("one", "bad", "two", **({"bad": fault} if fault else {}))
    reports = {r.exchange: r for r in sample_estimates(exchanges, settings, Database(settings))}
    assert {name: r.markets for name, r in reports.items()} == {"one": 1, "bad": 0, "two": 1}
    assert (reports["one"].error, reports["two"].error) == (None, None)
    error = reports["bad"].error or ""
    assert "bad" in error
    assert (str(fault) if fault else "404") in error
    assert {name for name, *_ in predicted(settings)} == {"one", "two"}


def test_a_database_that_is_busy_keeps_nobody_from_asking(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sampled late is no sample: all are asked while another writes."""
    network = Network(monkeypatch, {})
    database = Database(settings)
    exchanges = faked("one", "two", "three")
    sample_estimates(exchanges, settings, database)  # all are known now
    network.asked.clear()
    waiting = threading.Event()
    opened: list[str] = []
    real = Database.open

    def slow(self: Database) -> Any:
        if threading.current_thread() is not threading.main_thread():
            opened.append(threading.current_thread().name)
            if len(opened) == 4:  # each looked once; the first one stores
                waiting.wait(5)
        return real(self)

    monkeypatch.setattr(Database, "open", slow)

    def release() -> None:
        end = time.monotonic() + 5
        while len(network.asked) < 3 and time.monotonic() < end:
            time.sleep(0.005)
        asked_meanwhile.append(len(network.asked))
        waiting.set()

    asked_meanwhile: list[int] = []
    watcher = threading.Thread(target=release)
    watcher.start()
    sample_estimates(exchanges, settings, database)
    watcher.join()
    assert asked_meanwhile == [3]
    assert len(opened) >= 6, "the loop itself never waits for the database"


def test_live_and_sandbox_samples_are_never_mixed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, {})
    sample_estimates(faked("one"), settings, Database(settings))
    asked = len(network.asked)
    other = Settings(data_dir=settings.data_dir, sandbox_url="http://127.0.0.1:1", limits=False)
    with pytest.raises(MixedOriginError):
        sample_estimates(faked("one"), other, Database(other))
    assert len(network.asked) == asked, "before anything is asked"


# --- the six


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    world = generate(SANDBOXED.values(), markets=25)
    with running_sandbox(world, now=lambda: NOW_MS) as url:
        yield url


SAMPLED = [name for name, e in EXCHANGES.items() if e.spec.samples_estimates]


@pytest.fixture
def sampled(sandbox: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """All exchanges sampled once from the sandbox."""
    assert timestamp(NOW_MS) == NOW
    monkeypatch.setattr("funding_pipeline.collection.estimates.utc_now", lambda: NOW)
    here = Settings(data_dir=settings.data_dir, sandbox_url=sandbox, limits=False)
    reports = sample_estimates(EXCHANGES.values(), here, Database(here))
    assert {r.exchange: r.error for r in reports} == dict.fromkeys(SAMPLED)
    assert all(r.markets >= 4 for r in reports)
    return here


def test_the_estimates_of_all_are_stored_with_their_price(sampled: Settings) -> None:
    with Database(sampled).open() as connection:
        found = connection.execute(
            """SELECT exchange, count(DISTINCT market) = count(*),
                coalesce(bool_and(mark_price > 0), true),
                bool_and(observed_at = ?)
            FROM predicted_rates GROUP BY exchange""",
            [NOW],
        ).fetchall()
    assert {name for name, *_ in found} == set(SAMPLED)
    assert [row for row in found if not all(row[1:])] == []


def test_the_estimates_of_all_are_one_unit(sampled: Settings) -> None:
    """Bitcoin's mood is common to all generated exchanges; 800 or 8760 times would stand out."""
    with Database(sampled).open() as connection:
        aprs = dict(
            connection.execute(
                "SELECT exchange, avg(apr) FROM predicted_rates WHERE symbol = 'BTC' GROUP BY ALL"
            ).fetchall()
        )
    assert aprs.keys() == set(SAMPLED)
    assert max(aprs.values()) - min(aprs.values()) < 0.5
    assert 0 < max(map(abs, aprs.values())) < 1


def test_next_settlements_lie_on_the_grid_ahead(sampled: Settings) -> None:
    with Database(sampled).open() as connection:
        odd = connection.execute(
            """SELECT exchange, market FROM predicted_rates WHERE next_funding_time <= observed_at
            OR epoch_ms(next_funding_time) % (interval_hours * 3600000) <> 0"""
        ).fetchall()
        told = connection.execute(
            "SELECT DISTINCT exchange FROM predicted_rates WHERE next_funding_time IS NOT NULL"
        ).fetchall()
    assert odd == []
    assert {name for (name,) in told} >= {"binance", "bybit"}


def test_a_sample_settles_nothing_by_itself(sampled: Settings) -> None:
    with Database(sampled).open() as connection:
        assert connection.execute("SELECT count(*) FROM settlements").fetchall() == [(0,)]


def test_an_exchange_without_a_call_for_all_markets_is_not_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, {})
    one, other = faked("one", "other")
    one.spec = dataclasses.replace(one.spec, samples_estimates=False)
    reports = sample_estimates([one, other], settings, Database(settings))
    assert [report.exchange for report in reports] == ["other"]
    assert {exchange for exchange, _ in network.asked} == {"other"}
