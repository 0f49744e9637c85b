"""The website tag in a real Chromium, against a running server."""
