"""What runs each kernel on the device: a file here, and one in csrc/cuda; what treats each number by itself
is said in NumPy's functions, and csrc/cuda/pointwise.cu runs it."""
