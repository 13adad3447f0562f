"""Days of requests played through policies and pacers, and what came of it."""
