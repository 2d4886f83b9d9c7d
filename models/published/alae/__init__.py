"""StyleALAE: attributes along directions of an autoencoder (Pidhorskyi et al. 2020),."""
