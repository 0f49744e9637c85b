"""Programs that use a client as its manual says: address, write key and user in; what went wrong out, as JSON."""
