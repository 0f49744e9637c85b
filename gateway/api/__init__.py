"""The control plane: Quart-Trio on Hypercorn, one module a resource."""
