/* rows_f32 in plain C, for every CPU: the one to read first. The loop is ROWS (rows.h). */
#include "vec_scalar.h"

#include "rows.h"

ROWS_F32(2, 16, scalar)
