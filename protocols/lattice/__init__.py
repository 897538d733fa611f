"""Private dots and matrix products of two parties by lattice encryption, without a third party."""
