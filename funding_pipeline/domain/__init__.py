"""The pure core: what a funding rate means.

Belongs here: records, units, intervals, the settlement grid, symbols, typed errors. Does not:
I/O, clocks, sockets, DuckDB, Dagster. All times are integers of UTC milliseconds since 1970.
"""
