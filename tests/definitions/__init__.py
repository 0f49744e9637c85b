"""Tests of engine/definitions."""
