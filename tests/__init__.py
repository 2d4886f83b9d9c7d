"""Tests; a package, so that folders in it can be packages."""
