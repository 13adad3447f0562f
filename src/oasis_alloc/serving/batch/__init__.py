"""Many users at a time."""
