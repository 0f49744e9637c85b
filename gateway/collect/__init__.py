"""The data plane: what senders of events talk to. Protocols are functions `Request → Reply` that know no server."""
