"""Data sets: one reader module each."""
