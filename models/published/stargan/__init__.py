"""StarGAN (Choi et al. 2018) on CelebA, RaFD, both, and hairstyles,."""
