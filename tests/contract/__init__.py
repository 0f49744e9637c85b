"""What every store must do, run against the one on disk and the one in memory."""
