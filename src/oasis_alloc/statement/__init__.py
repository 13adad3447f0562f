"""The parts of a problem statement: measures, objective, functions, slate."""
