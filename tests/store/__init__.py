"""The parts of the store: keys, values, opening, LMDB's seam, reads."""
