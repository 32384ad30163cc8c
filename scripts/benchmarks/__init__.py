"""What the benchmark scripts share, and their contenders, each of which runs in a process of its own."""
