"""StarGAN v2: another look (Choi et al. 2020),."""
