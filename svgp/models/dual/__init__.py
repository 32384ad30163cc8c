"""q(u) by natural gradients in its dual parameters (t-SVGP)."""
