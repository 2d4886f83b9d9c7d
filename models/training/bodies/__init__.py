"""Training of the network that tells what body is behind hair."""
