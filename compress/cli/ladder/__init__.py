"""The ladder of a kernel: how fast a naive one is, one's own, ours on each instruction set, and those of
other libraries, on the same arguments, as a share of what this machine can do at best."""
