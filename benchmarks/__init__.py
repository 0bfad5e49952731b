"""Side-by-side measurements against peers, each one command: ``python -m benchmarks.run --only NAME``."""
