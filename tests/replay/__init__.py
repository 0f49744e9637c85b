"""Tests of `gateway.replay`, and what they share: a made-up log and an independent computation of its sessions."""
