/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every unit test includes: cmocka with the headers it needs before itself.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

#endif
