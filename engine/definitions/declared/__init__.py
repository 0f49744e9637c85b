"""What people declare beside channels, one module a kind. Values only: each step of the chain compiles its own."""
