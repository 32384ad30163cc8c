"""The host: BLAS, threads, and NumPy twins of operations that TensorFlow does slower on a CPU."""
