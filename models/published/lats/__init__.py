"""LATS: a face from baby to seventy (Or-El et al. 2020),."""
