"""What the parameters of a study would cost, before anything runs: downloads, tokens, memory, time. Estimates, not promises."""
