"""One thin module a DVC stage."""
