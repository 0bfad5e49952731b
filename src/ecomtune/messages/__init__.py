"""What is said to people: errors with their advice, warnings, printed tables. No stage depends on it."""
