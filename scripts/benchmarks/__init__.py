"""The benchmarks of bench.py: a module for each command, and what they share."""
