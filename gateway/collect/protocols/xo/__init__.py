"""Crownpeak XO and FHR activities: `POST /:trackerKey` (facts: wire-protocols F)."""
