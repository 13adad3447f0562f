"""How prices move from tick to tick: one small protocol, several algorithms."""
