"""Tests of the ways in, each against a plane with a real engine, or against nothing at all."""
