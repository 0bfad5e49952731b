"""Across commits and experiments: freshness, curves, sweeps, the study's questions, publication, pull requests."""
