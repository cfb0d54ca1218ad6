"""What the algorithms have compiled, one file per problem; importing one of them imports numba."""

import graphkit.core.compiling  # noqa: F401  # tells when one is compiled
