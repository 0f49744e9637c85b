"""Tests; their folders mirror the rooms of engine/ and gateway/."""
