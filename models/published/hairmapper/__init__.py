"""HairMapper: hair removal in W+ (Wu et al. 2022),."""
