"""BabyGAN: the child of two faces in W+,."""
