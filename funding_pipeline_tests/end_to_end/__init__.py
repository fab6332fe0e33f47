"""Whole runs against the sandbox on recorded data: engine, warehouse and publication together."""
