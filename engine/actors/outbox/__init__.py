"""What reaches outside leaves from here, after the transaction that asked for it (decision 32).

    Send ─▶ row of OUTBOX, in its activity's transaction ─▶ lane of its destination ─▶ call ─┬▶ row deleted
                                                                                              ├▶ row, due later
                                                                                              └▶ dead letter

At least once: a row goes only in a transaction behind the answer to its call.
"""
