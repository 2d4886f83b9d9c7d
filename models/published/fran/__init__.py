"""FRAN: another age as a residual (Zoss et al. 2022),."""
