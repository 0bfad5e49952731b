"""Metrics, bootstrap intervals and paired tests."""
