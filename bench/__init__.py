"""Benchmarks: programs that measure, on the machine they run on, what the design promises. See README.md beside this.

They guard ratios and bounds, not absolutes, and no test times anything. Each has one command and `--help`:

    python -m bench.ack      acknowledged events a second, over HTTP or (`--no-http`) straight into the engine
    python -m bench.collect  requests of one event, beside a bare server and beside FastAPI with SQLite
    python -m bench.memory   bytes that an open session costs
    python -m bench.chain    activities a second through the steps: rules, analyzers, goals, automations
    python -m bench.stall    how long the loop stands still when very many sessions fall due at once

Linux only: processor time and memory are read from /proc.
"""
