"""The network that tells beards."""
