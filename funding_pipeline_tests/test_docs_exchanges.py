"""The page of proofs names every exchange, and what it calls experimental is so."""

import re
from pathlib import Path

from funding_pipeline.exchanges.registry import EXCHANGES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "exchanges.md"
ROW = re.compile(r"^\| (\w+) \| ([RTCHPD* ]+) \| .* \|$", re.MULTILINE)


def test_every_exchange_is_on_the_page_of_proofs() -> None:
    rows = {m[1]: m[0] for m in ROW.finditer(PAGE.read_text())}
    assert rows.keys() == EXCHANGES.keys()
    for name, exchange in EXCHANGES.items():
        doubted = exchange.spec.experimental is not None
        assert ("*experimental*" in rows[name]) == doubted, name
