"""Boundaries in W from a generator alone: samples drawn, scored, separated, and put into the page as sliders."""
