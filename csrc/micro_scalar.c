/* The micro-kernels in plain C, for every CPU: the ones to read first. Their loops are in the headers. */
#include "vec_scalar.h"

#include "bodies.h"
