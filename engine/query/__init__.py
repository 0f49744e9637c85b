"""The query language: OTQL and JSON_OTQL, read into one tree, compiled to closures over activities. Pure."""
