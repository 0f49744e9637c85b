"""Tests of the gateway that need no engine, or a made-up one."""
