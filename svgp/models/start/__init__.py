"""Where hyperparameters and q(u) start, from the training rows."""
