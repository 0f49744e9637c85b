"""Bad luck, for real: processes that are killed, directories that are taken, stores from the future."""
