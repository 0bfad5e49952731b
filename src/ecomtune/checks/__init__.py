"""What refuses parameters before anything runs."""
