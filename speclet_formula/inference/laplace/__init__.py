"""Maximum likelihood of any family by Laplace's approximation."""
