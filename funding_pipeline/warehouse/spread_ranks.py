"""Ranks of the top spreads, stored: sorting all pairs is most of what the question would cost.

Belongs here: the order of `top_spreads`. Does not: the figures (view base.spread_figures), making
spreads (warehouse.spreads).
"""

import duckdb


def rank_spreads(connection: duckdb.DuckDBPyConnection) -> None:
    """Rank anew: after spreads were made, and when other exchanges than before are held."""
    connection.execute(
        """UPDATE base.spreads SET rank = r.rank FROM (
            SELECT long_id, short_id, row_number() OVER (ORDER BY net_apr_taker DESC, long_exchange,
                long_market, short_exchange, short_market) AS rank
            FROM base.spread_figures WHERE reason IS NULL AND NOT held AND "window" = '7d'
        ) r
        WHERE spreads."window" = '7d'
          AND spreads.long_id = r.long_id AND spreads.short_id = r.short_id"""
    )
