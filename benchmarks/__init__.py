"""The engines of this package and their peers, timed side by side; `python -m benchmarks --help`."""
