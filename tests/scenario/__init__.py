"""Tests of engine.scenario."""
