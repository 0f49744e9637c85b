"""Tests of engine/identity."""
