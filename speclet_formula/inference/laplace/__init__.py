"""A model of any family goes in; its maximum likelihood estimates by Laplace's approximation come out."""
