"""Models too large for this machine, behind an OpenAI-compatible chat API: asked concurrently, and paid for once."""
