"""The engine that all exchanges share: budget, retries, paging driver, windows, batches.

Belongs here: how requests are made and in what order. Does not: what they mean (exchanges), SQL
(warehouse), Dagster.
"""
