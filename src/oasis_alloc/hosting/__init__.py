"""The parts of a store: swaps, decisions, their counts, and the state file next to the snapshot."""
