"""The golden files of this folder, a module each."""
