"""One module per exchange: declaration as data, request plan, parse functions.

Belongs here: what an exchange's API is and what its answers mean. Does not: sockets, retries,
budgets, storage, Dagster. A module yields requests and is handed bytes; see `base`.
"""
