# bantam: `make` builds, `make run` boots a shell, `make check` runs the tests.
# Plain `make` needs a compiler and the kernel headers; run and check install what they lack.

BUILD   ?= build
ifeq ($(origin CC),default)
CC = gcc
endif
OPT     ?= -O2
CFLAGS  ?= -g
# One job per processor unless the caller says otherwise; a make below this one shares its jobs.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

ALL_CFLAGS = -std=gnu11 -Isrc -D_GNU_SOURCE -DBANTAM_VERSION='"$(VERSION)"' -pthread $(OPT) $(CFLAGS) \
	-Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wimplicit-fallthrough -Werror \
	-Wno-unused-parameter -fno-strict-aliasing $(SAN)
LDLIBS     = -pthread

# Optional libraries. Without one, a stub stands in for what needs it and says so at run time.
PKG_CONFIG ?= pkg-config
ifeq ($(shell $(PKG_CONFIG) --exists slirp 2>/dev/null && echo yes),yes)
CFLAGS_user := $(shell $(PKG_CONFIG) --cflags slirp)
LDLIBS      += $(shell $(PKG_CONFIG) --libs slirp)
LEFT_OUT    += src/backend/net/user_absent.c
else
LEFT_OUT    += src/backend/net/user.c
endif

# What unpacks kernel modules: a library each.
UNPACKERS := gzip=zlib xz=liblzma zstd=libzstd
HAVE      := $(foreach u,$(UNPACKERS),$(if $(shell $(PKG_CONFIG) --exists $(lastword $(subst =, ,$u)) 2>/dev/null && echo yes),$u))
LDLIBS    += $(foreach u,$(HAVE),$(shell $(PKG_CONFIG) --libs $(lastword $(subst =, ,$u))))
LEFT_OUT  += $(foreach u,$(HAVE),src/boot/initramfs/unpack_$(firstword $(subst =, ,$u))_absent.c) \
	$(foreach u,$(filter-out $(HAVE),$(UNPACKERS)),src/boot/initramfs/unpack_$(firstword $(subst =, ,$u)).c)

# Disk images: FILE=LIBRARY, with FILE_absent.c as the stub.
BLOCK_LIBS := io_uring=liburing compress_zlib=zlib compress_zstd=libzstd
BLOCK_HAVE := $(foreach l,$(BLOCK_LIBS),$(if $(shell $(PKG_CONFIG) --exists $(lastword $(subst =, ,$l)) 2>/dev/null && echo yes),$l))
LDLIBS     += $(foreach l,$(BLOCK_HAVE),$(shell $(PKG_CONFIG) --libs $(lastword $(subst =, ,$l))))
LEFT_OUT   += $(foreach l,$(BLOCK_HAVE),src/backend/block/$(firstword $(subst =, ,$l))_absent.c) \
	$(foreach l,$(filter-out $(BLOCK_HAVE),$(BLOCK_LIBS)),src/backend/block/$(firstword $(subst =, ,$l)).c)

SRCS  := $(filter-out $(LEFT_OUT),$(shell find src -name '*.c' | sort))
OBJS  := $(SRCS:%.c=$(BUILD)/%.o)
LIBOBJS := $(filter-out $(BUILD)/src/cli/main.o,$(OBJS))
LIB   := $(BUILD)/libbantam.a

UNIT_SRCS := $(shell find tests/unit -name '*_test.c' 2>/dev/null | sort)
UNIT_BINS := $(UNIT_SRCS:%.c=$(BUILD)/%)

GUEST_SRCS := $(sort $(wildcard tests/guest/*.S tests/guest/*.c))
GUESTS     := $(addprefix $(BUILD)/,$(addsuffix .elf,$(basename $(GUEST_SRCS))))

.PHONY: all run check check-cpu check-unit check-san bench fuzz clean deps
.DELETE_ON_ERROR:

all: $(BUILD)/bantam

$(BUILD)/bantam: $(BUILD)/src/cli/main.o $(LIB)
	@echo "  link $@"
	@$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(LIBOBJS)
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(ALL_CFLAGS) $(CFLAGS_$(basename $(notdir $<))) -MMD -MP -c -o $@ $<

# The guest's init is freestanding, for any CPU, and never sanitized: it is part of the initramfs that
# bantam makes. INIT is where it comes to lie, also for the fuzz targets.
INIT      := $(BUILD)/guest/init.elf
INIT_SRCS := $(sort $(wildcard guest/init/*.c guest/init/*.S))
$(INIT): $(INIT_SRCS) $(wildcard guest/init/*.h) src/boot/initramfs/protocol.h Makefile
	@mkdir -p $(@D)
	@echo "  init $@"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -Isrc -march=x86-64 -Os -ffreestanding -fno-builtin -fno-stack-protector -fno-pic \
		-fno-asynchronous-unwind-tables -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes \
		-Wimplicit-fallthrough -Werror -Wno-unused-parameter -static -nostdlib -no-pie \
		-Wl,--build-id=none,-z,noexecstack -s -o $@ $(INIT_SRCS)
$(BUILD)/src/boot/initramfs/init_program.o $(BUILD)/fuzz/src/boot/initramfs/init_program.o: $(INIT)
CFLAGS_init_program = -DBANTAM_INIT_PROGRAM='"$(INIT)"'

# The interpreter reads the host's flags with PUSHF, below which nothing may lie, and goes from one
# instruction to the next by tail calls, which only an optimised build makes.
$(BUILD)/src/engine/soft/interp/%.o: ALL_CFLAGS += -O2 -mno-red-zone $(SAN_INTERP)

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  test $@"
	@$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(LIB) -lcmocka $(LDLIBS)

# The comparison of every instruction with the host CPU.
CPU_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/cpu/*.c))
$(CPU_OBJS): ALL_CFLAGS += -Itests
$(BUILD)/tests/cpu/compare: $(CPU_OBJS) $(LIB)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

# For tests/decode/objdump.py, which is run by hand.
$(BUILD)/tests/decode/disasm: $(BUILD)/tests/decode/disasm.o $(LIB)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

# ---- the two commands ----
# Each installs what it lacks, as root or through sudo, then calls make again, because a compiler may
# be among it.

BUILD_PACKAGES := gcc libc6-dev linux-libc-dev
RUN_PACKAGES   := busybox-static cpio gzip
BENCH_PACKAGES := iperf3 iproute2 kmod python3-minimal qemu-system-x86 zlib1g-dev fio qemu-utils strace pkg-config \
	libslirp-dev liburing-dev
CHECK_PACKAGES := libcmocka-dev clang clang-format libclang-rt-14-dev python3-minimal xz-utils file \
	acpica-tools bsdutils procps qemu-system-x86 lz4 kmod tmux zlib1g-dev \
	pkg-config libslirp-dev libglib2.0-dev iproute2 iperf3 curl \
	socat screen liblzma-dev libzstd-dev \
	liburing-dev qemu-utils fio e2fsprogs git

run:
	@tools/install-packages $(BUILD_PACKAGES) $(RUN_PACKAGES)
	@$(MAKE) --no-print-directory -s all
	@tools/run-shell $(BUILD)

check:
	@tools/install-packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(CHECK_PACKAGES)
	@$(MAKE) --no-print-directory -s all check-programs
	@BUILD=$(BUILD) tests/run $(BUILD)/check $(CHECKS)

# Runs programs natively, under bantam and under QEMU's TCG, then boots Debian's kernels under both, uses
# disks, networks and shares, and prints what each cost. BENCH_JSON=FILE keeps the figures.
BENCH_JSON ?=
bench:
	@tools/install-packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(BENCH_PACKAGES)
	@$(MAKE) --no-print-directory -s all bench-programs
	@tools/make-initramfs $(BUILD)/bench.cpio.gz bench/off.sh
	@BUILD=$(BUILD) bench/engine/run $(BENCH_JSON:%=--json %)
	@bench/boot.py $(BENCH_JSON:%=--json %) $(BUILD)/bantam $(BUILD)/bench/programs $(BUILD)/bench.cpio.gz \
		"$$(tools/get-kernel)" "$$(tools/get-kernel amd64)"
	@BUILD=$(BUILD) bench/io/run $(BENCH_JSON:%=--json %)
	@bench/sandbox.py $(BENCH_JSON:%=--json %) $(BUILD)/bantam $(BUILD)/bench/programs $(BUILD)/bench.cpio.gz \
		"$$(tools/get-kernel)" "$$(tools/get-kernel amd64)"

# The programs of bench/engine/run, which are of the baseline instruction set and also run as a guest's
# init. Only the product of matrices is for the vectoriser.
BENCH_SRCS := $(sort $(wildcard bench/engine/*.c))
BENCH_OBJS := $(BENCH_SRCS:%.c=$(BUILD)/%.o)
BENCH_O    := -O2
$(BUILD)/bench/engine/matrix.o: BENCH_O := -O3
$(BUILD)/bench/engine/%.o: bench/engine/%.c bench/engine/programs.h Makefile
	@mkdir -p $(@D)
	@gcc -std=gnu11 -D_GNU_SOURCE -march=x86-64 $(BENCH_O) -Wall -Wextra -Wshadow -Werror -pthread -c -o $@ $<
$(BUILD)/bench/programs: $(BENCH_OBJS)
	@gcc -static -pthread -o $@ $^ -lz -lm
$(BUILD)/bench/engine.cpio: $(BUILD)/bench/programs tools/make-initramfs
	@tools/make-initramfs $@ $<
.PHONY: bench-programs
bench-programs: $(BUILD)/bench/programs $(BUILD)/bench/engine.cpio

# What x86 promises programs on several CPUs; runs on the host and as a guest's init. Built without
# sanitizers and for any CPU.
SMP_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/smp/*.c)) $(patsubst %.S,$(BUILD)/%.S.o,$(wildcard tests/smp/*.S))
$(BUILD)/tests/smp/%.o: tests/smp/%.c tests/smp/smp.h Makefile
	@mkdir -p $(@D)
	@gcc -std=gnu11 -D_GNU_SOURCE -march=x86-64 -O2 -Wall -Wextra -Wno-unused-parameter -Wshadow -Werror -pthread -c -o $@ $<
$(BUILD)/tests/smp/%.S.o: tests/smp/%.S Makefile
	@mkdir -p $(@D)
	@gcc -c -o $@ $<
$(BUILD)/tests/smp/smp: $(SMP_OBJS)
	@gcc -static -pthread -o $@ $^
$(BUILD)/tests/smp/smp.cpio: $(BUILD)/tests/smp/smp tools/make-initramfs
	@tools/make-initramfs $@ $<

# Everything that `check` runs, in this order.
CHECKS = tools/check-layers tools/check-headers tools/check-format $(UNIT_BINS) \
	tests/tail-calls.sh tests/cpu.sh tests/fuzz.sh bench/engine/check \
	$(sort $(wildcard tests/e2e/*.sh tests/e2e/*.py))
.PHONY: check-programs
check-programs: $(UNIT_BINS) $(GUESTS) $(BUILD)/tests/cpu/compare $(BUILD)/tests/smp/smp.cpio bench-programs

$(BUILD)/tests/guest/%.elf: tests/guest/%.S tests/guest/multiboot.inc tests/guest/link.ld
	@mkdir -p $(@D)
	$(CC) -m32 -nostdlib -static -no-pie -Wl,--build-id=none,--no-warn-rwx-segments,-T,tests/guest/link.ld -o $@ $<

$(BUILD)/tests/guest/%.elf: tests/guest/%.c tests/guest/link.ld
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -m32 -O2 -ffreestanding -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -mgeneral-regs-only \
		-Wall -Wextra -Wshadow -Werror -Wno-main -nostdlib -static -no-pie \
		-Wl,--build-id=none,--no-warn-rwx-segments,-T,tests/guest/link.ld -o $@ $<

# Ten million random blocks on interpreter, translator and host CPU.
CPU_BLOCKS ?= 10000000
check-cpu: $(BUILD)/tests/cpu/compare
	@BUILD=$(BUILD) BLOCKS=$(CPU_BLOCKS) SEED=$$(date +%s) tests/cpu.sh blocks

# Networks with a gigabyte each time, instead of the 64 MiB of `check`.
.PHONY: check-net
check-net:
	@tools/install-packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(CHECK_PACKAGES)
	@$(MAKE) --no-print-directory -s all
	@BUILD=$(BUILD) NET_BYTES=1073741824 NET_SECONDS=10 NET_TIMEOUT=900 tests/e2e/net.sh

check-unit: $(UNIT_BINS)
	@failed=0; for t in $(UNIT_BINS); do $$t || failed=1; done; exit $$failed

# ---- sanitizers ----
# Unit tests and the boot of a Debian kernel with two vCPUs, under AddressSanitizer with
# UndefinedBehaviorSanitizer, then under ThreadSanitizer. The interpreter accesses guest memory
# unaligned by design, and guests race on it by design: there those two checks are off.
SAN_ADDRESS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_THREAD  := -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan

check-san:
	@tools/install-packages $(BUILD_PACKAGES) $(RUN_PACKAGES) libcmocka-dev xz-utils
	@$(MAKE) --no-print-directory -s BUILD=build-asan SAN="$(SAN_ADDRESS)" \
		SAN_INTERP=-fno-sanitize=alignment check-sanitized
	@$(MAKE) --no-print-directory -s BUILD=build-tsan SAN="$(SAN_THREAD)" \
		SAN_INTERP=-fno-sanitize=thread check-sanitized

.PHONY: check-sanitized
check-sanitized: all $(UNIT_BINS)
	@tests/san/run $(BUILD) $(UNIT_BINS)

# Every fuzz/*_fuzz.c is a libFuzzer target, linked with what it names of the rest.
FUZZ_SECONDS ?= 10
FUZZ_OBJS    := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out src/cli/main.c,$(SRCS)))
FUZZ_BINS    := $(patsubst fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard fuzz/*_fuzz.c))
FUZZ_CFLAGS   = -std=gnu11 -Isrc -Ifuzz -D_GNU_SOURCE -DBANTAM_VERSION='"fuzz"' -pthread -O1 -g \
	-fno-strict-aliasing -fno-omit-frame-pointer -mno-red-zone \
	-Wno-gnu-variable-sized-type-not-at-end -fsanitize=address,undefined \
	-fno-sanitize=alignment -fno-sanitize-recover=undefined

$(BUILD)/fuzz/src/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(CFLAGS_$(basename $(notdir $<))) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/lib.a: $(FUZZ_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/fuzz/%_fuzz: fuzz/%_fuzz.c $(wildcard fuzz/*.h) $(BUILD)/fuzz/lib.a
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/fuzz/lib.a $(LDLIBS)

# A crash leaves its input as build/fuzz/NAME-crash-*.
fuzz: $(FUZZ_BINS)
	@for t in $(FUZZ_BINS); do \
		echo "$$t: $(FUZZ_SECONDS) s"; \
		mkdir -p $$t.corpus; \
		$$t -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=$$t- $$t.corpus 2>$$t.log || { cat $$t.log; exit 1; }; \
		grep -h number_of_executed_units $$t.log; \
	done

clean:
	rm -rf $(BUILD)

-include $(OBJS:.o=.d) $(CPU_OBJS:.o=.d) $(UNIT_BINS:=.d) $(FUZZ_OBJS:.o=.d)
