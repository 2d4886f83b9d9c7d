"""Training and measuring what removes and recolours hair."""
