"""One module a protocol, or a folder where it has several parts: `Request → Answer` functions that know no server."""
