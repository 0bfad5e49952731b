"""The tasks: prompt, target, parser of answers, metric."""
