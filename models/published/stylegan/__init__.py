"""StyleGAN, StyleGAN2 and MobileStyleGAN, the encoders into their W+, and directions in it."""
