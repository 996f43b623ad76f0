/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exec functions of integer instructions, as named by the rows of insn.def.
 */
#ifndef ENGINE_SOFT_INTERP_EXEC_INT_H
#define ENGINE_SOFT_INTERP_EXEC_INT_H

#include "engine/soft/exec.h"

#endif
