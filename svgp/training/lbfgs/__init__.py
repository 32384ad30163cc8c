"""L-BFGS over a model's variables: the machine, its box, and the units in which it sees them."""
