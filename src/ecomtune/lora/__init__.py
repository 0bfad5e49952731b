"""LoRA: shared-prefix training, adapters as factors, merging."""
