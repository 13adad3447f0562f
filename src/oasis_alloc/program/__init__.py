"""The program as arrays, for engines and solvers."""
