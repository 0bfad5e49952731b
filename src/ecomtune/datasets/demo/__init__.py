"""The generator of the demo shop."""
