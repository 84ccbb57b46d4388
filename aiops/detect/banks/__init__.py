"""Banks: one detector over many slots, a struct of arrays and the kernel that moves it."""
