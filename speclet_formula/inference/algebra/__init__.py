"""Linear algebra that the engines share: normal equations, the matrices that fill with them, and their factors."""
