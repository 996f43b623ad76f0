/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exec functions of x87, MMX, SSE and AVX instructions, as named by the rows of insn.def.
 */
#ifndef ENGINE_SOFT_INTERP_EXEC_SIMD_H
#define ENGINE_SOFT_INTERP_EXEC_SIMD_H

#include "engine/soft/exec.h"

#endif
