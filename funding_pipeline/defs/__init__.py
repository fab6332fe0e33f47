"""The Dagster shell: assets, jobs, schedules, sensors.

Belongs here: what the orchestrator needs to know, and nothing that works without it. The core is
called, never repeated. Entry point: `funding_pipeline.definitions`.
"""
