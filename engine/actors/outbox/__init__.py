"""What reaches outside leaves from here, after the transaction that asked for it (decision 32).

Send ─▶ row of OUTBOX, in its activity's transaction ─▶ lane of its destination ─▶ call ─▶ row deleted     done
                                                                                      ├─▶ row with a later due time
                                                                                      └─▶ dead letter
"""
