"""Constants of the molecular features that ogb computes."""

# The number of values of each of the nine integer features of an atom.
ATOM_CODES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
