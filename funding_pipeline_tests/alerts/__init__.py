"""Tests of telling a person."""
