"""Training of the hair matte."""
