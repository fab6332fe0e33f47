"""Tests of the derived tables against figures worked out by hand and hour by hour."""
