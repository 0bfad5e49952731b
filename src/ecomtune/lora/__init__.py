"""LoRA training over shared prompt prefixes."""
