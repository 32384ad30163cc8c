"""The general library: determinants, factorisations and solves whose gradients are written by hand."""
