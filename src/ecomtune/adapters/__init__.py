"""Arithmetic on trained adapters: factors, merging, similarity, weight search."""
