"""The chain: one module a step, in the order `chain` fixes. Every step is a function of its arguments."""
