"""Measures of models and of music: one module per family."""
