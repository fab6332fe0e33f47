"""Derived tables as pure functions: frames of settlements in, frames of figures out.

Belongs here: what a figure means and how it is computed, in polars. Does not: where rows are read
or written, when a derivation runs, Dagster, DuckDB, clocks (`now` is an argument). Times are naive
UTC `Datetime("us")`, rates signed fractions of notional, `apr` a simple fraction per year.
"""
