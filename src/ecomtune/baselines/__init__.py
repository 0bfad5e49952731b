"""Conventional models: encoder, seq2seq, causal, floors."""
