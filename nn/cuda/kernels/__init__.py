"""What runs each kernel on the device: a file here, and one of the same name in csrc/cuda."""
