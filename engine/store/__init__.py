"""The only room that imports lmdb: one environment, typed operations, reads and a memory twin."""
