"""What is shown to users: errors with advice, warnings, printed tables. No stage depends on this folder."""
