#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The contract of engine.h on the host's own KVM, whatever its speed: the tests of the soft engine again.
BUILD=${BUILD:-build}
[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo "/dev/kvm cannot be opened here"; exit 77; }
ACCEL=kvm timeout 120 "$BUILD/tests/unit/engine/engine_test"
