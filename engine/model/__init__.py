"""Values the engine works on, and how they look as bytes. No I/O, no clock, no other room."""
