"""What looks after the project itself; nothing here is part of the package."""
