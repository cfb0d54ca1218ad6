"""What the algorithms have compiled, one file per problem; importing one of them imports numba."""
