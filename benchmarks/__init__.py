"""The benchmarks, each a command from the root of the repository: ``python -m benchmarks.whole --sizes 1e6``."""
