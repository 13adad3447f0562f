"""What a store needs next to its policy: swaps, decisions, their counts, the state next to the file."""
