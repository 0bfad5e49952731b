"""How a system answers: local decoding, endpoints, recorded answers, their cost and their cache."""
