"""The graph Laplacian: products with its pseudo-inverse, the spectral gap, effective resistance."""
