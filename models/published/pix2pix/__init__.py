"""pix2pix (Isola et al. 2017) and CoupleGenerator: the other half,."""
