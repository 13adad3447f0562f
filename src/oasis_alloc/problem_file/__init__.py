"""A problem as a TOML file over tables: the statement, its expressions and limits, reading and writing tables."""
