"""What is said of a problem: measures, objective, functions, slate."""
