"""Pictures in the asset's metadata: once an hour, and never the reason of a red run."""

import base64
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from funding_pipeline import pictures
from funding_pipeline.defs.jobs import DERIVATION
from funding_pipeline.defs.pictures import PICTURES, draw_all, drawings
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.settings import Settings
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.client.made_up import store

Run = Callable[..., dg.ExecuteInProcessResult]

NAMES = ["funding_apr", "top_spreads", "btc_eth_sol", "coverage"]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store(Database(Settings(data_dir=folder)))
    return folder


@pytest.fixture
def run(
    stored: Path, data_dir: Path, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> Run:
    """Runs the derivation job, or the pictures alone, on 40 days of made-up exchanges."""
    shutil.copytree(stored, data_dir)

    def execute(job: str = "") -> dg.ExecuteInProcessResult:
        if job:
            return definitions.resolve_job_def(job).execute_in_process(instance=instance)
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(PICTURES)]
        )

    return execute


def drawn(result: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue] | None:
    """The metadata of the pictures, if the run materialised them."""
    assert result.success
    found = [
        dict(event.materialization.metadata)
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(PICTURES)
    ]
    return found[0] if found else None


def test_all_four_are_shown(run: Run) -> None:
    shown = drawn(run())
    assert shown is not None
    assert list(shown) == [*NAMES, "size_kb", "seconds"]
    for name in NAMES:
        value = shown[name]
        assert isinstance(value, dg.MarkdownMetadataValue)
        start = f"![{name}](data:image/png;base64,"
        assert value.md_str.startswith(start)
        png = base64.b64decode(value.md_str.removeprefix(start).removesuffix(")"), validate=True)
        assert len(png) < 150_000
        assert Image.open(BytesIO(png)).format == "PNG"


def test_a_derivation_draws_them_once_an_hour_and_a_person_at_any_time(
    run: Run, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn(run(DERIVATION))
    assert first is not None
    # Nothing has settled for long: there are no spreads any more.
    assert list(first) == [name for name in [*NAMES, "size_kb", "seconds"] if "spreads" not in name]
    last = instance.get_latest_materialization_event(dg.AssetKey(PICTURES))
    assert last is not None
    next_hour = (last.timestamp // 3600 + 1) * 3600
    monkeypatch.setattr(Pipeline, "now_ms", lambda _: int(next_hour * 1000) - 1)
    assert drawn(run(DERIVATION)) is None
    assert drawn(run()) is not None
    monkeypatch.setattr(Pipeline, "now_ms", lambda _: int(next_hour * 1000))
    assert drawn(run(DERIVATION)) is not None


def test_one_that_fails_is_missing_and_the_run_succeeds(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("no ink")

    monkeypatch.setattr(pictures, "top_spreads", fails)
    shown = drawn(run())
    assert shown is not None
    assert list(shown)[:3] == ["funding_apr", "btc_eth_sol", "coverage"]
    for name in ("heat_map", "lines", "completeness"):
        monkeypatch.setattr(pictures, name, fails)
    assert drawn(run()) is None


def test_what_failed_is_told() -> None:
    def fails() -> bytes:
        raise ZeroDivisionError("no ink")

    told: list[str] = []
    found = draw_all({"a": fails, "b": lambda: b"png", "c": lambda: None}, told.append)
    assert found == {"b": b"png"}
    assert told == ["picture a failed: ZeroDivisionError: no ink"]


def test_without_data_nothing_is_drawn(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(PICTURES)]
    )
    assert drawn(result) is None


def test_other_windows_and_other_assets(stored: Path, data_dir: Path) -> None:
    """The longest window stands in for seven days; what is not listed is not drawn."""
    shutil.copytree(stored, data_dir)
    settings = Settings(windows=("24h", "3d"))
    assert drawings(settings, [])["funding_apr"]()
    with Database(settings).open() as connection:
        connection.execute("UPDATE base.markets SET asset = 'X' || asset")
    publish(Database(settings))
    assert drawings(settings, [])["btc_eth_sol"]() is None
