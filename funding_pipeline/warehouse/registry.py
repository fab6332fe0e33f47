"""The symbol registry: what each native market trades, with dates and predecessors.

Belongs here: storing what lists propose and what stands under the corrections, and events about it.
Does not: the rules (domain.identity), keys that join exchanges (warehouse.assets).

Proposals are evidence and kept; the registry is made of them and of the corrections that come with
this version, so a correction that is added, changed or withdrawn takes effect with the next list.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files

import duckdb
import polars as pl

from funding_pipeline.domain.corrections import Corrections, parse
from funding_pipeline.domain.identity import Identity, at, observed, propose, resolve
from funding_pipeline.domain.records import Market
from funding_pipeline.warehouse.database import visible
from funding_pipeline.warehouse.ledger import Event, record_events

Identities = dict[str, list[Identity]]

_PROPOSED = ("symbol", "multiplier", "quote", "settle", "asset_class", "valid_from", "valid_to")
_REGISTERED = (*_PROPOSED, "predecessor", "predecessor_ratio", "source")
_TYPES: dict[str, pl.DataType] = {
    "market": pl.String(),
    "symbol": pl.String(),
    "multiplier": pl.Int32(),
    "quote": pl.String(),
    "settle": pl.String(),
    "asset_class": pl.String(),
    "asset": pl.String(),
    "valid_from": pl.Datetime("us"),
    "valid_to": pl.Datetime("us"),
    "predecessor": pl.String(),
    "predecessor_ratio": pl.Float64(),
    "source": pl.String(),
}


@cache
def shipped_corrections() -> Corrections:
    """The corrections that come with this version."""
    return parse((files("funding_pipeline.domain") / "corrections.toml").read_text("utf-8"))


def identify(
    connection: duckdb.DuckDBPyConnection, exchange: str, listed: Sequence[Market], now: datetime
) -> tuple[Identities, Identities]:
    """(proposals, identities) by native symbol of all markets of the exchange, listed and known."""
    proposals = _stored(connection, exchange, "proposed_identities", _PROPOSED)
    for market in listed:
        history = proposals.get(market.market, ())
        proposals[market.market] = observed(history, propose(market), now)
    corrections = shipped_corrections()
    identities = {
        market: resolve(exchange, market, history, corrections)
        for market, history in proposals.items()
    }
    return proposals, _with_predecessors(identities, proposals)


def current(identities: Mapping[str, Sequence[Identity]], now: datetime) -> pl.DataFrame:
    """What each market trades at a moment: market, symbol, multiplier, … asset."""
    names = ("symbol", "multiplier", "quote", "settle", "asset_class", "asset")
    return _frame({market: [at(found, now)] for market, found in identities.items()}, names)


def store_identities(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    proposals: Identities,
    identities: Identities,
    now: datetime,
) -> None:
    """Bring both tables to what `identify` found; inside the caller's transaction, markets known.

    Rows that are as they were are not touched. A predecessor named for the first time is an event.
    """
    _replace(connection, exchange, "proposed_identities", _PROPOSED, proposals)
    before = _replace(connection, exchange, "symbol_registry", _REGISTERED, identities)
    renamed = []
    for market, found in identities.items():
        old = {identity.predecessor for identity in before.get(market, ())}
        newest = found[-1]
        if newest.predecessor is not None and newest.predecessor not in old:
            day = f" on {newest.renamed_on}" if newest.renamed_on else ""
            detail = f"{newest.predecessor} -> {market}, 1 : {newest.predecessor_ratio:g}{day}"
            renamed.append(Event("renamed", market, detail))
    if renamed:
        record_events(connection, exchange, renamed, None, now)


def _with_predecessors(identities: Identities, proposals: Identities) -> Identities:
    """Predecessors named by symbol found among the exchange's markets of the same quote."""
    native: dict[tuple[str, str], str] = {}
    for market in sorted(proposals, reverse=True):
        proposal = proposals[market][-1]
        native[proposal.symbol, proposal.quote] = market

    def linked(market: str, identity: Identity) -> Identity:
        if identity.predecessor_symbol is None:
            return identity
        found = native.get((identity.predecessor_symbol, identity.quote))
        return identity.succeeding(found if found != market else None)

    return {m: [linked(m, identity) for identity in found] for m, found in identities.items()}


def _stored(
    connection: duckdb.DuckDBPyConnection, exchange: str, table: str, columns: Sequence[str]
) -> Identities:
    rows = connection.execute(
        f"""SELECT m.market, {", ".join(f"t.{name}" for name in columns)}
        FROM base.{table} t JOIN base.markets m USING (market_id)
        WHERE m.exchange = ? ORDER BY m.market, t.valid_from NULLS FIRST""",
        [exchange],
    ).fetchall()
    found: Identities = {}
    for market, *values in rows:
        identity = Identity(**dict(zip(columns, values, strict=True)))
        found.setdefault(market, []).append(identity)
    return found


def _replace(
    connection: duckdb.DuckDBPyConnection,
    exchange: str,
    table: str,
    columns: Sequence[str],
    wanted: Identities,
) -> Identities:
    """Replace the rows of markets whose rows differ; returns what was there before."""
    before = _stored(connection, exchange, table, columns)

    def rows(found: Sequence[Identity]) -> list[tuple[object, ...]]:
        return [tuple(getattr(identity, name) for name in columns) for identity in found]

    changed = {
        market: found
        for market, found in wanted.items()
        if rows(before.get(market, ())) != rows(found)
    }
    if changed:
        with visible(connection, "changed", _frame(changed, columns)):
            connection.execute(
                f"""DELETE FROM base.{table} USING changed c JOIN base.markets m USING (market)
                WHERE {table}.market_id = m.market_id AND m.exchange = ?""",
                [exchange],
            )
            connection.execute(
                f"""INSERT INTO base.{table} BY NAME
                SELECT m.market_id, c.* EXCLUDE (market)
                FROM changed c JOIN base.markets m USING (market) WHERE m.exchange = ?
                ORDER BY m.market_id, c.valid_from NULLS FIRST""",
                [exchange],
            )
    return before


def _frame(identities: Identities, columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (market, *(getattr(identity, name) for name in columns))
            for market, found in identities.items()
            for identity in found
        ],
        schema={name: _TYPES[name] for name in ("market", *columns)},
        orient="row",
    )
