"""Telling a person what is wrong, on the channels that the operator chose.

Belongs here: what counts as a finding, when it is told, in which words, and handing it over. Does
not: finding faults (checks, gaps, collection), Dagster (defs.alerts).
"""
