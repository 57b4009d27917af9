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
SHAREDIR	?= $(PREFIX)/share/zerofs
DKMS_SRC	= /usr/src/zerofs-$(VERSION)

Q		:= $(if $(V),,@)
say		= $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- the daemon --------------------------------------------------------------------------
#
# Layers: a directory sees itself and what LAYER_dir names, through a tree of symlinks made for it alone
# (build/inc/DIR), so that an include the layers forbid does not compile. Tests see everything.

DIRS			:= base format store transport volume server nbd cmd
LAYER_base		:=
LAYER_format		:= base
LAYER_store		:= base
LAYER_transport		:= base io.h uapi
LAYER_volume		:= base io.h format store
LAYER_server		:= base io.h uapi format store transport volume
LAYER_nbd		:= base io.h uapi format store transport volume server
LAYER_cmd		:= base io.h uapi format store transport volume server
LAYER_tests		:= $(LAYER_cmd) cmd nbd

WARN		:= -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wpointer-arith
CPPFLAGS_ALL	= -D_GNU_SOURCE= -DZEROFS_VERSION='"$(VERSION)"' $(CPPFLAGS)
CFLAGS_ALL	= -std=gnu11 -O2 -g $(WARN) -fno-strict-aliasing -pthread $(CFLAGS)
LIBS		:= -lcurl -lexpat -lsodium -lcrypto -lzstd -luring -ljansson -lpthread

# One build of everything per variant, under build/VARIANT.
# "pic" is what the plugin is made of.
VARIANTS	:= gcc clang asan tsan pic
CC_gcc		:= gcc
CC_clang	:= clang
CC_asan		:= gcc
CC_tsan		:= gcc
CC_pic		:= gcc
FLAGS_gcc	:=
FLAGS_clang	:=
FLAGS_asan	:= -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# -Wno-tsan: the rings shared with the kernel need a fence, which TSan does not follow and gcc says so.
FLAGS_tsan	:= -O1 -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
FLAGS_pic	:= -fPIC -fvisibility=hidden

DAEMON_SRCS	:= $(sort $(foreach d,$(DIRS),$(wildcard daemon/$(d)/*.c daemon/$(d)/*/*.c)))
DAEMON_HDRS	:= $(sort $(wildcard daemon/*.h) $(foreach d,$(DIRS),$(wildcard daemon/$(d)/*.h daemon/$(d)/*/*.h)))
MAIN_SRC	:= $(filter daemon/cmd/main.c,$(DAEMON_SRCS))
# The only file that needs nbdkit's header (nbdkit-plugin-dev), and is left out without it.
PLUGIN_SRC	:= daemon/nbd/plugin.c
NBDKIT_PLUGINS	:= $(shell pkg-config --variable=plugindir nbdkit 2>/dev/null)
PLUGIN		:= $(B)/nbdkit-zerofs-plugin.so
LIB_SRCS	:= $(filter-out $(MAIN_SRC) $(PLUGIN_SRC),$(DAEMON_SRCS))
UNIT_TESTS	:= $(sort $(wildcard tests/unit/test_*.c))
TEST_HELP_SRCS	:= $(sort $(wildcard tests/lib/*.c) $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c)))
KERNEL_TESTS	:= $(sort $(wildcard tests/kernel/test_*.c))
KERNEL_HELP_SRCS := $(filter-out $(KERNEL_TESTS),$(wildcard tests/kernel/*.c))
SIM_SRCS	:= $(sort $(wildcard tests/sim/*.c))
BENCH_S3D_SRCS	:= $(sort $(wildcard tests/bench/s3d_*.c))
BENCH_SRCS	:= $(filter-out $(BENCH_S3D_SRCS),$(sort $(wildcard tests/bench/*.c)))
S3_SRCS		:= $(sort $(wildcard tests/s3/*.c))
# Tools of the guest's tests: a program where there is a main(), else a library for LD_PRELOAD.
VM_SRCS		:= $(sort $(wildcard tests/vm/*.c))
VM_PROGRAMS	:= $(if $(VM_SRCS),$(shell grep -lE '^int main\b' $(VM_SRCS)))
VM_PRELOADS	:= $(filter-out $(VM_PROGRAMS),$(VM_SRCS))

KERNEL_TEST_BINS := $(KERNEL_TESTS:%.c=$(B)/%)
VM_TOOLS	:= $(VM_PROGRAMS:%.c=$(B)/%) $(VM_PRELOADS:%.c=$(B)/%.so)
BENCH_BINS	:= $(BENCH_SRCS:%.c=$(B)/%)
S3_BINS		:= $(S3_SRCS:%.c=$(B)/%)

all: $(if $(MAIN_SRC),$(B)/zerofs) $(if $(NBDKIT_PLUGINS),$(PLUGIN)) module

$(B)/inc/.made: Makefile
	$(Q)rm -rf $(B)/inc
	$(Q)$(foreach d,$(DIRS),mkdir -p $(B)/inc/$(d);)
	$(Q)mkdir -p $(B)/inc/tests
	$(Q)$(foreach d,$(DIRS) tests,$(foreach a,$(filter $(DIRS),$(d)) $(LAYER_$(d)),\
		ln -sfn $(CURDIR)/$(if $(filter uapi,$(a)),uapi,daemon/$(a)) $(B)/inc/$(d)/$(a);))
	$(Q)touch $@

# $(1) variant, $(2) directory of the include tree, $(3) a make pattern of sources
define COMPILE
$(B)/$(1)/$(3).o: $(3).c $(B)/inc/.made dkms.conf
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

$(B)/$(1)/tests/sim/sim: $(SIM_SRCS:%.c=$(B)/$(1)/%.o) $(B)/$(1)/libtests.a $(B)/$(1)/libzerofs.a
	$$(call say,LD,$$@)
	$(Q)$(CC_$(1)) $(FLAGS_$(1)) -Wl,--as-needed $$^ $$(LDFLAGS) $(LIBS) -o $$@

unit-$(1): $(UNIT_TESTS:%.c=$(B)/$(1)/%) $(if $(MAIN_SRC),$(B)/$(1)/zerofs)
.PHONY: unit-$(1)
endef
$(foreach v,$(VARIANTS),$(eval $(call VARIANT,$(v))))

# Tests that stand between the engine and what seals for it.
$(VARIANTS:%=$(B)/%/tests/unit/test_volume_seal): LDFLAGS += -Wl,--wrap=codec_seal,--wrap=fmt_seg_seal
$(VARIANTS:%=$(B)/%/tests/unit/test_nbd_served): LDFLAGS += -Wl,--wrap=mlockall,--wrap=pthread_setattr_default_np
$(VARIANTS:%=$(B)/%/tests/unit/test_volume_nomem): LDFLAGS += -Wl,--wrap=malloc
$(VARIANTS:%=$(B)/%/tests/unit/test_creds_renew): LDFLAGS += -Wl,--wrap=creds_ask_slurp

$(B)/zerofs: $(B)/gcc/zerofs
	$(Q)ln -f $< $@ 2>/dev/null || cp -f $< $@

# It stays in memory once loaded: threads may still run in it when nbdkit unloads it, after an interrupted start.
$(PLUGIN): $(PLUGIN_SRC:%.c=$(B)/pic/%.o) $(B)/pic/libzerofs.a
	$(call say,LD,$@)
	$(Q)$(CC_pic) -shared $(FLAGS_pic) -Wl,--as-needed -Wl,-z,nodelete \
		$^ $(LDFLAGS) $(LIBS) -o $@

plugin: $(PLUGIN)

# Programs that drive the module inside a guest.
$(KERNEL_TEST_BINS): $(B)/%: $(B)/gcc/%.o $(KERNEL_HELP_SRCS:%.c=$(B)/gcc/%.o) $(B)/gcc/libtests.a $(B)/gcc/libzerofs.a
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC_gcc) -Wl,--as-needed $^ $(LDFLAGS) $(if $(filter 1,$(shell grep -c cmocka.h $(@:$(B)/%=%).c)),-lcmocka) $(LIBS) -o $@

$(VM_PROGRAMS:%.c=$(B)/%) $(BENCH_BINS) $(S3_BINS): $(B)/%: $(B)/gcc/%.o $(B)/gcc/libtests.a $(B)/gcc/libzerofs.a
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC_gcc) -Wl,--as-needed $^ $(LDFLAGS) $(LIBS) -o $@

$(B)/tests/bench/s3d: $(BENCH_S3D_SRCS:%.c=$(B)/gcc/%.o)

$(VM_PRELOADS:%.c=$(B)/%.so): $(B)/%.so: %.c $(B)/inc/.made
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC_gcc) $(CPPFLAGS_ALL) -I$(B)/inc/tests $(CFLAGS_ALL) -fPIC -shared $< -o $@ -ldl

vm-tools: $(KERNEL_TEST_BINS) $(VM_TOOLS)
bench-programs: $(BENCH_BINS)
# What tests/s3/NN-*.sh run beside the daemon.
s3-programs: $(S3_BINS) $(B)/tests/bench/s3d $(B)/gcc/tests/unit/test_store_contract $(B)/gcc/tests/unit/test_s3_outage

-include $(wildcard $(VARIANTS:%=$(B)/%/daemon/*/*.d) $(VARIANTS:%=$(B)/%/daemon/*/*/*.d) $(VARIANTS:%=$(B)/%/tests/*/*.d))
.SECONDARY:

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
	$(Q)test -e /lib/modules/$*/build/Makefile || { \
		echo "module: the headers of kernel $* are not installed; run: apt-get install linux-headers-$*" >&2; exit 1; }
	$(call say,KMOD,$*)
	$(call MODULE_LINKS,$*)
	+$(Q)$(call MODULE_MAKE,$*) W=1 modules $(if $(V),,>$(B)/module/$*/log 2>&1 || { cat $(B)/module/$*/log >&2; exit 1; })
	$(Q)if grep -n 'warning:' $(B)/module/$*/log >&2; then \
		find $(B)/module/$* -name '*.o' -delete; rm -f $@; echo "module: warnings with W=1" >&2; exit 1; fi
	$(Q)touch $@

# sparse, in a tree of its own because it compiles everything anew.
sparse: $(KV:%=sparse-%)
sparse-%:
	$(call say,SPARSE,$*)
	$(Q)mkdir -p $(B)/sparse/$*
	$(Q)cp -rsf $(CURDIR)/Kbuild $(CURDIR)/dkms.conf $(CURDIR)/kernel $(CURDIR)/uapi $(B)/sparse/$*/
	$(Q)find $(B)/sparse/$* -xtype l -delete
	$(Q)$(MAKE) --no-print-directory -C /lib/modules/$*/build M=$(abspath $(B))/sparse/$* C=2 W=1 modules \
		> $(B)/sparse/$*.log 2>&1 || { cat $(B)/sparse/$*.log >&2; exit 1; }
	$(Q)if grep -nE 'warning:|error:' $(B)/sparse/$*.log >&2; then echo "sparse: warnings" >&2; exit 1; fi

# ---- tests, in the open: what each does stands in tests/ ------------------------------------

setup:
	$(Q)tests/setup.sh all

check-setup:
	$(Q)tests/setup.sh check

check: check-setup
	$(Q)tests/run.sh all
check-fast: check-setup
	$(Q)tests/run.sh fast
check-asan: check-setup
	$(Q)tests/run.sh asan
check-tsan: check-setup
	$(Q)tests/run.sh tsan
check-model: check-setup
	$(Q)tests/run.sh model
check-vm: check-setup
	$(Q)tests/run.sh vm
check-mutants: check-setup
	$(Q)tests/mutants/run.sh
check-s3:
	$(Q)tests/run.sh s3
check-sim: check-setup
	$(Q)tests/run.sh sim

# One seed of the simulator: SEED=n, TRACE=1 says all that happens, POINT=k has everything die at step k.
sim: $(B)/gcc/tests/sim/sim
	$(Q)$(if $(SEED),$<$(if $(TRACE), -t)$(if $(POINT), -p $(POINT)) $(SEED),echo 'usage: make sim SEED=n [TRACE=1] [POINT=k]' >&2; exit 2)

torture: check-setup
	$(Q)$(MAKE) -s --no-print-directory -j2 all vm-tools
	$(Q)tests/vm/torture.sh $(ROUNDS) $(SEED)

lint: check-setup
	$(Q)tests/run.sh lint
style: check-setup
	$(Q)tests/lint/style.sh
format: check-setup
	$(Q)tests/lint/style.sh --fix

demo:
	$(Q)tests/setup.sh demo
	$(Q)$(MAKE) -s --no-print-directory -j2 all $(if $(filter host,$(DEMO)),$(B)/module/$(shell uname -r)/zerofs.ko)
	$(Q)tests/demo/demo.sh

# All of them run, whatever the first says.
bench:
	$(Q)rc=0; for b in bench-driver bench-engine bench-s3; do $(MAKE) --no-print-directory $$b || rc=1; done; exit $$rc
bench-engine:
	$(Q)tests/setup.sh bench-engine
	$(Q)$(MAKE) -s --no-print-directory -j2 bench-programs
	$(Q)tests/bench/engine.sh
bench-s3:
	$(Q)tests/setup.sh bench-s3
	$(Q)$(MAKE) -s --no-print-directory -j2 bench-programs plugin $(B)/zerofs
	$(Q)tests/bench/s3.sh
bench-driver:
	$(Q)tests/setup.sh bench
	$(Q)$(MAKE) -s --no-print-directory -j2 all bench-programs $(B)/tests/vm/copies.so
	$(Q)tests/bench/driver.sh

# ---- installing --------------------------------------------------------------------------

install: $(B)/zerofs $(if $(NBDKIT_PLUGINS),$(PLUGIN))
	install -D -m 755 $(B)/zerofs $(DESTDIR)$(SBINDIR)/zerofs
	$(if $(NBDKIT_PLUGINS),install -D -m 755 $(PLUGIN) $(DESTDIR)$(NBDKIT_PLUGINS)/$(notdir $(PLUGIN)))
	$(Q)for f in $(wildcard man/*.[1-9]); do \
		install -D -m 644 $$f $(DESTDIR)$(MANDIR)/man$${f##*.}/$${f##*/} || exit 1; done
	install -D -m 644 share/zerofs/prices.conf $(DESTDIR)$(SHAREDIR)/prices.conf

# What DKMS builds the module from, and nothing else. Then: dkms install zerofs/VERSION
dkms-install:
	$(Q)rm -rf $(DESTDIR)$(DKMS_SRC)
	$(Q)mkdir -p $(DESTDIR)$(DKMS_SRC)
	cp -r Kbuild dkms.conf kernel uapi $(DESTDIR)$(DKMS_SRC)/

clean:
	$(Q)rm -rf $(B)

help:
	@echo 'zerofs $(VERSION). As root on Debian 12; what a target needs is installed from Debian, and announced.'
	@echo
	@echo '  make demo           the main job on real files, in QEMU (DEMO=host: on the running kernel)'
	@echo '  make check          every test; closes with "N passed, N failed, N skipped"'
	@echo
	@echo '  make all            daemon and module (the default)'
	@echo '  make module         zerofs.ko for the test kernels, or for KV=VERSION, in build/module/VERSION'
	@echo '  make plugin         the nbdkit plugin, build/nbdkit-zerofs-plugin.so; needs nbdkit-plugin-dev (so does its part of install)'
	@echo '  make install        the daemon, man pages and prices (PREFIX=$(PREFIX) DESTDIR=)'
	@echo '  make dkms-install   the module sources to /usr/src, for: dkms install zerofs/$(VERSION)'
	@echo '  make clean          remove build/'
	@echo
	@echo '  make check-fast     style, lint, module with W=1 and sparse, unit and integration tests'
	@echo '  make check-asan     unit tests under ASan and UBSan'
	@echo '  make check-tsan     unit tests under TSan'
	@echo '  make check-sim      the engine in a simulated world (SEEDS=n; SOAK=seconds)'
	@echo '  make check-s3       against Ceph'"'"'s S3 gateway from Debian, and through a proxy that injects faults'
	@echo '  make sim SEED=n     one seed of it (TRACE=1, POINT=k)'
	@echo '  make check-model    the rules of attach and fencing in every interleaving, with spin'
	@echo '  make check-vm       module and daemon in QEMU'
	@echo '  make check-mutants  plants bugs one by one: how many do the unit tests catch (MUTANTS="03 07": only these)'
	@echo '  make torture        power cuts and kills in QEMU, ROUNDS=20 unless said; SEED=n does it again'
	@echo '  make lint style     layers, sparse, shellcheck, own rules; formatting (make format mends it)'
	@echo '  make bench-driver   the ring against nbd and ublk, in QEMU; build/bench/driver.json'
	@echo '  make bench-engine   the engine over a store of fixed delay; build/bench/engine.json'
	@echo '  make bench-s3       over a store with the delays of S3, and on s3backer; build/bench/s3.json (make bench: all three)'
	@echo '  make setup          install and fetch all that the above needs'
	@echo
	@echo '  V=1 shows commands, VERBOSE=1 what tests print, SKIP="NAME ..." leaves parts or tests of a check out,'
	@echo '  B=FOLDER builds elsewhere, ZEROFS_CACHE=FOLDER keeps kernels and data elsewhere than $(CACHE).'

.DEFAULT_GOAL := all
.PHONY: all plugin module sparse clean vm-tools bench-programs s3-programs setup check-setup check check-fast check-asan check-tsan check-vm \
	check-model check-s3 check-sim sim check-mutants torture lint style format demo bench bench-driver bench-engine bench-s3 install dkms-install help
