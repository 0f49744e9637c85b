"""`sojourn replay`: web server logs and NDJSON files through the engine, in the time of their events."""
