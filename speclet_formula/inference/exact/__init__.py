"""The exact engine: draws of a Gaussian model's posterior, and densities of rows left out, effects integrated out."""
