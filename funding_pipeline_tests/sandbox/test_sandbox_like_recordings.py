"""The sandbox asked what was once asked of the real exchange: the same keys and types come back.

Belongs here: every real recording of an exchange. Does not: values (exchanges' own tests).
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.conftest import SHARED
from funding_pipeline_tests.exchanges.against_ccxt import NOW_MS

FOLDERS = {"krakenfutures": "kraken", "coinbaseintl": "coinbase_intl"}
# Recordings whose request cannot be sent again as it was, or of endpoints nobody needs.
LEFT_OUT = {
    "hyperliquid",  # POST bodies; compared in test_sandbox_shapes
}


def real_recordings() -> list[tuple[str, str]]:
    found = []
    for file in sorted((SHARED / "responses").glob("*/*.json")):
        exchange = FOLDERS.get(file.parent.name, file.parent.name)
        # A documentation's sample may have values that were real once; its request is not kept.
        real = not file.stem.startswith("doc_") and not file.stem.endswith("_doc")
        if exchange in EXCHANGES and exchange not in LEFT_OUT and real:
            found.append((exchange, f"{file.parent.name}/{file.name}"))
    return found


@pytest.fixture(scope="module")
def url() -> Any:
    with running_sandbox(generate(EXCHANGES.values()), now=lambda: NOW_MS) as url:
        yield url


@pytest.mark.parametrize(("exchange", "name"), real_recordings())
def test_the_answer_has_the_recorded_shape(
    url: str, responses_dir: Path, exchange: str, name: str
) -> None:
    recording = json.loads((responses_dir / name).read_text())
    asked = recording["request"]
    address = httpx.URL(asked["url"])
    params = {
        key: value
        for key, value in {**dict(address.params), **(asked["params"] or {})}.items()
        if not str(value).endswith(")")  # "(ms)": the number was not kept
    }
    answer = httpx.request(
        asked["method"],
        f"{url}/{exchange}{address.path}",
        params=params or None,
        json=asked["body"],
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    same_shape(answer.json(), recording["response"])


def same_shape(ours: Any, real: Any, where: str = "$") -> None:
    """Every key of the real answer is there with the same type of value; lists by their first
    elements. A whole number and a decimal one are the same type, null may stand for anything.
    """
    if ours is None or real is None:
        return
    if isinstance(real, int | float) and not isinstance(real, bool):
        assert isinstance(ours, int | float) and not isinstance(ours, bool), where
        return
    assert type(ours) is type(real), f"{where}: {ours!r} for {real!r}"
    if isinstance(real, dict):
        for key in real:
            if ours and isinstance(ours, dict):
                assert key in ours, f"{where}.{key}"
                same_shape(ours[key], real[key], f"{where}.{key}")
    elif isinstance(real, list) and real:
        assert ours, f"{where}: empty"
        same_shape(ours[0], real[0], f"{where}[0]")
