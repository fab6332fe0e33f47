"""Tests of the sandbox, over real HTTP wherever a client would see a difference."""
