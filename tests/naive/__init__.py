"""The plainest twins of the kernels: slow, obvious, written from the method's description."""
