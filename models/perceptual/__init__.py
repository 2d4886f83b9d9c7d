"""Perceptual distances that published recipes compare pictures by; their weights are brought by the user."""
