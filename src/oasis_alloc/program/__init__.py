"""The program in arrays that engines and solvers work on."""
