"""Equivariant polynomials of a graph's matrices: multigraphs, plans and their evaluation."""
