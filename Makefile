# bantam: `make` builds, `make run` boots a shell, `make check` runs the tests.
# Plain `make` needs a compiler and the kernel headers; run and check install what they lack.

BUILD   ?= build
CC      ?= gcc
OPT     ?= -O2
CFLAGS  ?= -g
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

ALL_CFLAGS = -std=gnu11 -Isrc -D_GNU_SOURCE -DBANTAM_VERSION='"$(VERSION)"' -pthread $(OPT) $(CFLAGS) \
	-Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wimplicit-fallthrough -Werror \
	-Wno-unused-parameter -fno-strict-aliasing $(SAN)
LDLIBS     = -pthread

SRCS  := $(shell find src -name '*.c' | sort)
OBJS  := $(SRCS:%.c=$(BUILD)/%.o)
LIBOBJS := $(filter-out $(BUILD)/src/cli/main.o,$(OBJS))
LIB   := $(BUILD)/libbantam.a

UNIT_SRCS := $(shell find tests/unit -name '*_test.c' 2>/dev/null | sort)
UNIT_BINS := $(UNIT_SRCS:%.c=$(BUILD)/%)

.PHONY: all run check check-unit check-san bench fuzz clean deps
.DELETE_ON_ERROR:

all: $(BUILD)/bantam

$(BUILD)/bantam: $(BUILD)/src/cli/main.o $(LIB)
	$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(LIBOBJS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CFLAGS_$(basename $(notdir $<))) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(LIB) -lcmocka $(LDLIBS)

check-unit: $(UNIT_BINS)
	@failed=0; for t in $(UNIT_BINS); do $$t || failed=1; done; exit $$failed

clean:
	rm -rf $(BUILD)

-include $(OBJS:.o=.d) $(UNIT_BINS:=.d)
