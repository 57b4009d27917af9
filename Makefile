# SPDX-License-Identifier: GPL-2.0-or-later
# zerofs: `make help` lists the targets. What does the work lives in Kbuild (module), tests/ and here (daemon).

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:

# make B=/elsewhere builds there
B		:= build
VERSION		:= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf 2>/dev/null)
CACHE		:= $(or $(ZEROFS_CACHE),/var/cache/zerofs-test)
PREFIX		?= /usr/local
DESTDIR		?=
SBINDIR		?= $(PREFIX)/sbin
MANDIR		?= $(PREFIX)/share/man
DKMS_SRC	= /usr/src/zerofs-$(VERSION)

Q		:= $(if $(V),,@)
say		= $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- the daemon --------------------------------------------------------------------------
#
# Layers: a directory sees itself and what LAYER_dir names, through a tree of symlinks made for it alone
# (build/inc/DIR), so that an include the layers forbid does not compile. Tests see everything.

DIRS			:= base format store transport volume server cmd
LAYER_base		:=
LAYER_format		:= base
LAYER_store		:= base
LAYER_transport		:= base io.h uapi
LAYER_volume		:= base io.h format store
LAYER_server		:= base io.h uapi format store transport volume
LAYER_cmd		:= base io.h uapi format store transport volume server
LAYER_tests		:= $(LAYER_cmd) cmd

WARN		:= -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wpointer-arith
CPPFLAGS_ALL	= -D_GNU_SOURCE= -DZEROFS_VERSION='"$(VERSION)"' $(CPPFLAGS)
CFLAGS_ALL	= -std=gnu11 -O2 -g $(WARN) -fno-strict-aliasing -pthread $(CFLAGS)
LIBS		:= -lsodium -lzstd -luring -ljansson -lpthread

# One build of everything per variant, under build/VARIANT.
VARIANTS	:= gcc clang asan tsan
CC_gcc		:= gcc
CC_clang	:= clang
CC_asan		:= gcc
CC_tsan		:= gcc
FLAGS_gcc	:=
FLAGS_clang	:=
FLAGS_asan	:= -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan	:= -O1 -fsanitize=thread -fno-omit-frame-pointer

DAEMON_SRCS	:= $(sort $(foreach d,$(DIRS),$(wildcard daemon/$(d)/*.c daemon/$(d)/*/*.c)))
DAEMON_HDRS	:= $(sort $(wildcard daemon/*.h) $(foreach d,$(DIRS),$(wildcard daemon/$(d)/*.h daemon/$(d)/*/*.h)))
MAIN_SRC	:= $(filter daemon/cmd/main.c,$(DAEMON_SRCS))
LIB_SRCS	:= $(filter-out daemon/cmd/main.c,$(DAEMON_SRCS))
UNIT_TESTS	:= $(sort $(wildcard tests/unit/test_*.c))
TEST_HELP_SRCS	:= $(sort $(wildcard tests/lib/*.c) $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c)))
KERNEL_TESTS	:= $(sort $(wildcard tests/kernel/test_*.c))
KERNEL_HELP_SRCS := $(filter-out $(KERNEL_TESTS),$(wildcard tests/kernel/*.c))
BENCH_SRCS	:= $(sort $(wildcard tests/bench/*.c))

KERNEL_TEST_BINS := $(KERNEL_TESTS:%.c=$(B)/%)
BENCH_BINS	:= $(BENCH_SRCS:%.c=$(B)/%)

all: $(if $(MAIN_SRC),$(B)/zerofs) module

$(B)/inc/.made: Makefile
	$(Q)rm -rf $(B)/inc
	$(Q)$(foreach d,$(DIRS),mkdir -p $(B)/inc/$(d);)
	$(Q)mkdir -p $(B)/inc/tests
	$(Q)$(foreach d,$(DIRS) tests,$(foreach a,$(filter $(DIRS),$(d)) $(LAYER_$(d)),\
		ln -sfn $(CURDIR)/$(if $(filter uapi,$(a)),uapi,daemon/$(a)) $(B)/inc/$(d)/$(a);))
	$(Q)touch $@

# $(1) variant, $(2) directory of the include tree, $(3) a make pattern of sources
define COMPILE
$(B)/$(1)/$(3).o: $(3).c $(B)/inc/.made $(wildcard dkms.conf) | prepared
	$(Q)mkdir -p $$(@D)
	$$(call say,CC,$$(if $$(filter-out gcc,$(1)),$(1) )$$<)
	$(Q)$(CC_$(1)) -MMD -MP $$(CPPFLAGS_ALL) -I$(B)/inc/$(2) $(4) $$(CFLAGS_ALL) $(FLAGS_$(1)) -c $$< -o $$@
endef

# $(1) variant
define VARIANT
$(foreach d,$(DIRS),$(eval $(call COMPILE,$(1),$(d),daemon/$(d)/%,)))
$(eval $(call COMPILE,$(1),tests,tests/%,-Itests))

$(B)/$(1)/libzerofs.a: $(LIB_SRCS:%.c=$(B)/$(1)/%.o)
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)

$(B)/$(1)/libtests.a: $(TEST_HELP_SRCS:%.c=$(B)/$(1)/%.o)
	$(Q)mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)

$(B)/$(1)/zerofs: $(MAIN_SRC:%.c=$(B)/$(1)/%.o) $(B)/$(1)/libzerofs.a
	$$(call say,LD,$$@)
	$(Q)$(CC_$(1)) $(FLAGS_$(1)) -Wl,--as-needed $$^ $$(LDFLAGS) $(LIBS) -o $$@

$(B)/$(1)/tests/unit/test_%: $(B)/$(1)/tests/unit/test_%.o $(B)/$(1)/libtests.a $(B)/$(1)/libzerofs.a
	$$(call say,LD,$$@)
	$(Q)$(CC_$(1)) $(FLAGS_$(1)) -Wl,--as-needed $$^ $$(LDFLAGS) -lcmocka $(LIBS) -o $$@

unit-$(1): $(UNIT_TESTS:%.c=$(B)/$(1)/%) $(if $(MAIN_SRC),$(B)/$(1)/zerofs)
.PHONY: unit-$(1)
endef
$(foreach v,$(VARIANTS),$(eval $(call VARIANT,$(v))))

$(B)/zerofs: $(B)/gcc/zerofs
	$(Q)ln -f $< $@ 2>/dev/null || cp -f $< $@

# Programs that drive the module inside a guest.
$(KERNEL_TEST_BINS): $(B)/%: $(B)/gcc/%.o $(KERNEL_HELP_SRCS:%.c=$(B)/gcc/%.o) $(B)/gcc/libtests.a $(B)/gcc/libzerofs.a
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC_gcc) -Wl,--as-needed $^ $(LDFLAGS) $(if $(filter 1,$(shell grep -c cmocka.h $(@:$(B)/%=%).c)),-lcmocka) $(LIBS) -o $@

$(BENCH_BINS): $(B)/%: $(B)/gcc/%.o $(B)/gcc/libtests.a $(B)/gcc/libzerofs.a
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC_gcc) -Wl,--as-needed $^ $(LDFLAGS) $(LIBS) -o $@

kernel-tests: $(KERNEL_TEST_BINS)
bench-programs: $(BENCH_BINS)

-include $(wildcard $(VARIANTS:%=$(B)/%/daemon/*/*.d) $(VARIANTS:%=$(B)/%/daemon/*/*/*.d) $(VARIANTS:%=$(B)/%/tests/*/*.d))
.SECONDARY:

# Order-only: nothing yet needs a step before the first compile, but `setup` hooks in here.
prepared:

# ---- the module --------------------------------------------------------------------------
#
# Built once per kernel, in build/module/KV, from links to the sources, so that kernels do not share objects.

KV		?= $(shell tests/vm/kernels.sh installed 2>/dev/null)
MODULE_SRCS	:= $(sort $(wildcard Kbuild dkms.conf kernel/*.[ch] kernel/compat/* kernel/compat/*/* uapi/*.h))
MODULE_MAKE	= $(MAKE) --no-print-directory -C /lib/modules/$(1)/build M=$(abspath $(B))/module/$(1)

define MODULE_LINKS
	$(Q)mkdir -p $(B)/module/$(1)
	$(Q)cp -rsf $(CURDIR)/Kbuild $(CURDIR)/dkms.conf $(CURDIR)/kernel $(CURDIR)/uapi $(B)/module/$(1)/
	$(Q)find $(B)/module/$(1) -xtype l -delete
endef

module: $(foreach k,$(KV),$(B)/module/$(k)/zerofs.ko)
	$(Q)$(if $(KV),,echo "module: no kernel headers of a test kernel are installed; run: make setup" >&2; exit 1)

$(B)/module/%/zerofs.ko: $(MODULE_SRCS)
	$(call say,KMOD,$*)
	$(call MODULE_LINKS,$*)
	$(Q)$(call MODULE_MAKE,$*) W=1 modules $(if $(V),,>$(B)/module/$*/log 2>&1 || { cat $(B)/module/$*/log >&2; exit 1; })
	$(Q)if grep -n 'warning:' $(B)/module/$*/log >&2; then rm -f $@; echo "module: warnings with W=1" >&2; exit 1; fi
	$(Q)touch $@

clean:
	$(Q)rm -rf $(B)

.DEFAULT_GOAL := all
.PHONY: all module clean kernel-tests bench-programs prepared
