"""SAM: a face at any age (Alaluf et al. 2021),."""
