"""Pretrained weights: packages, hub, folders; loading, tokenization, process set-up."""
