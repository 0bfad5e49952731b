"""What only the training of baselines needs."""
