"""Checks that refuse wrong parameters, in one sentence, before anything runs."""
