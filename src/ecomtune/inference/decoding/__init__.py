"""Decoding: how a causal model's answers are read, with the prompts' shared prefix run once."""
