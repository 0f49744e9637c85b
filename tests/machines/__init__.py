"""State machines over whole rooms: many commands in any order, and what must hold after each."""
