"""GenForce: PGGAN with latent editing in Z, in-domain inversion (Zhu et al. 2020), the encoder of style vectors."""
