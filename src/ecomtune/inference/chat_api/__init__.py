"""Models too large for this machine, behind an OpenAI-compatible chat API: asked side by side, and paid for once."""
