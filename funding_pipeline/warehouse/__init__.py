"""DuckDB: schema, migrations, merge, what was collected, publication.

Belongs here: every SQL statement that writes, and the lock around it. Does not: Dagster, HTTP, the
formulas of derived tables (transforms).
"""
