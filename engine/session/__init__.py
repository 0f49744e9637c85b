"""What joins, what cuts and what closes: the pure fold of one user's journal records (decisions 5 to 13 and 16).

No clock, no I/O, no Trio: now and sequence are arguments.
"""
