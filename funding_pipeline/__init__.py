"""Funding rates of perpetual futures: collected, kept in DuckDB, derived, published."""
