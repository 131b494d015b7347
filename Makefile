# SPDX-License-Identifier: GPL-2.0-only
# The whole build, not recursive; all it makes is in build/. "make help" lists the targets.
VERSION := 0.1.0

PREFIX ?= /usr/local
DESTDIR ?=
CLANG ?= clang
PKG_CONFIG ?= pkg-config
ifeq ($(origin CC),default)
CC := gcc
endif

# SAN=address,undefined builds with sanitizers, in a folder of its own. BUILD= moves everything (lint uses it).
comma := ,
BUILD ?= build
B := $(BUILD)$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

libs := libbpf libelf zlib libnl-3.0 libcap sqlite3
libs_cflags := $(shell $(PKG_CONFIG) --cflags $(libs) 2>/dev/null)
libs_ld := $(shell $(PKG_CONFIG) --libs $(libs) 2>/dev/null)
libs_ld_static = $(shell $(PKG_CONFIG) --static --libs $(libs) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wno-missing-field-initializers
CFLAGS ?= -O2 -g
flags = -std=gnu17 -D_GNU_SOURCE -DPORTLOG_VERSION='"$(VERSION)"' -Isrc -Iinclude -isystem $(BUILD) $(libs_cflags) \
	$(WARN) $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
link = $(CC) $(flags) $(CFLAGS) $(LDFLAGS) -pthread
test_flags = -Itests -DPORTLOG_TESTS='"tests"'

objs := $(patsubst src/%.c,$B/%.o,$(wildcard src/*.c src/*/*.c))
# maps first: libbpf's linker gets offsets of variables wrong when it meets them as extern before their definition.
bpf_objs := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.o,$(wildcard bpf/maps.bpf.c) \
	$(filter-out bpf/maps.bpf.c bpf/inventory.bpf.c,$(wildcard bpf/*.bpf.c)))
# A look at the ports that are held needs neither the tracer's hooks nor its maps.
inventory_objs := $(BUILD)/bpf/inventory.o $(BUILD)/bpf/device.o
skel := $(BUILD)/portlog.skel.h $(BUILD)/inventory.skel.h
# What one build and the hooks that another has pinned must have in common, as a number.
abi := $(BUILD)/portlog_abi.h

# Tests: unit and bench programs are a file each; a live program is a file or a folder, and all may use live/lib.
test_obj = $(patsubst tests/%.c,$B/tests/obj/%.o,$(wildcard $(1)))
support := $(call test_obj,tests/support/*.c)
live_lib := $(call test_obj,tests/live/lib/*.c)
live_names := $(sort $(patsubst tests/live/%.c,%,$(wildcard tests/live/*.c)) \
	$(filter-out lib,$(patsubst tests/live/%/,%,$(dir $(wildcard tests/live/*/*.c)))))
unit := $(patsubst %.c,$B/%,$(wildcard tests/unit/test_*.c))
live := $(addprefix $B/tests/live/,$(live_names))
golden := $(patsubst %.c,$B/%,$(wildcard tests/golden/*.c))
bench := $(patsubst %.c,$B/%,$(wildcard tests/bench/*.c))
fuzz := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
static := $(BUILD)/static/portlog $(patsubst %,$(BUILD)/static/%,$(filter actor errand list verdict wait,$(live_names)))

# V=1 shows the commands; -s nothing.
Q := $(if $(V),,@)
say = @$(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),:,printf '  %-7s %s\n' $(1) $@)

all: $B/portlog

# ---- what must be there. Checked once; building never installs anything ----
$(BUILD)/deps.ok: tools/deps.sh
	@tools/deps.sh check
	@mkdir -p $(@D) && touch $@

# ---- BPF: one object a file, joined into one skeleton. The running kernel is not asked ----
bpf_arch := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
# -mcpu=v2: every kernel from 4.14 takes it, and what clang does by default changes between its versions.
bpf_flags = -g -O2 -target bpf -mcpu=v2 -D__TARGET_ARCH_$(bpf_arch) -Wall -Werror -Ivmlinux -Iinclude -Ibpf \
	$(shell $(PKG_CONFIG) --cflags libbpf 2>/dev/null)
# Ubuntu's bpftool is a wrapper that may refuse the running kernel; the real one lies beside it.
BPFTOOL ?= $(firstword $(shell for tool in bpftool /usr/sbin/bpftool /usr/lib/linux-tools/*/bpftool; do \
	if "$$tool" version >/dev/null 2>&1; then echo "$$tool"; fi; done))

$(BUILD)/bpf/%.o: bpf/%.bpf.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(bpf_flags) -MMD -MP -c $< -o $@

$(BUILD)/portlog.bpf.o: $(bpf_objs)
	$(call say,BPFLD)
	$(Q)$(BPFTOOL) gen object $@ $^

$(BUILD)/inventory.bpf.o: $(inventory_objs)
	$(call say,BPFLD)
	$(Q)$(BPFTOOL) gen object $@ $^

$(skel): $(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp
	@mv $@.tmp $@

$(abi): include/portlog/event.h bpf/maps.bpf.c
	@mkdir -p $(@D)
	@cat $^ | cksum | sed 's/ .*//; s/^/#define PORTLOG_ABI /; s/$$/u/' > $@

# ---- the program ----
$B/%.o: src/%.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(flags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(patsubst src/%.c,$B/%.o,$(wildcard src/source/bpf*.c)) $(patsubst tests/%.c,$B/tests/obj/%.o,$(shell grep -ls portlog.skel.h tests/unit/*.c)): $(skel)
$B/source/bpf_pinned.o: $(abi)

# Linked from the objects, not from the library: parts that only a table names (weak symbols) must come along.
$B/portlog: $(objs)
	$(call say,LD)
	$(Q)$(link) $^ $(libs_ld) -o $@

$B/libportlog.a: $(filter-out $B/main.o,$(objs))
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

static: $(static)
$(BUILD)/static/portlog: $(objs) tools/nss-stubs.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(link) -static $^ $(libs_ld_static) -o $@

# ---- tests ----
$B/tests/obj/%.o: tests/%.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(flags) $(test_flags) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$B/tests/unit/%: $B/tests/obj/unit/%.o $(support) $B/libportlog.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(link) $^ $(libs_ld) -lcmocka -o $@

$B/tests/golden/%: $B/tests/obj/golden/%.o $(support) $B/libportlog.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(link) $^ $(libs_ld) -o $@

$B/tests/liblive.a: $(live_lib)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$B/tests/bench/%: $B/tests/obj/bench/%.o $(support) $B/tests/liblive.a $B/libportlog.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(link) $^ $(libs_ld) -pthread -o $@

define live_program
$B/tests/live/$(1) $(BUILD)/static/$(1): $(call test_obj,tests/live/$(1).c tests/live/$(1)/*.c) \
	$B/tests/liblive.a $B/libportlog.a
	@mkdir -p $$(@D)
	$$(call say,LD)
	$$(Q)$$(link) $$(if $$(findstring /static/,$$@),-static) $$^ $$(if $$(findstring /static/,$$@),$$(libs_ld_static),$$(libs_ld)) -o $$@
endef
$(foreach name,$(live_names),$(eval $(call live_program,$(name))))

# Fuzzers have objects of their own, so that what they reach is instrumented too.
fuzz_flags := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
fuzz_objs := $(patsubst src/%.c,$(BUILD)/fuzz/%.o,$(filter-out src/main.c,$(wildcard src/*.c src/*/*.c)))

$(BUILD)/fuzz/%.o: src/%.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CLANG) $(flags) $(fuzz_flags) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(patsubst src/%.c,$(BUILD)/fuzz/%.o,$(wildcard src/source/bpf*.c)): $(skel) $(abi)

$(BUILD)/fuzz/libportlog.a: $(fuzz_objs)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/libportlog.a
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CLANG) $(flags) $(test_flags) $(fuzz_flags) -fsanitize=fuzzer -MMD -MP -MF $@.d $< $(BUILD)/fuzz/libportlog.a $(libs_ld) -o $@

run_tests = BUILD=$B tests/run.sh $(1)

test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory all static test-programs
	@$(call run_tests,unit golden live nspawn vm)
test-programs: $B/portlog $(unit) $(golden) $(live)
test-unit: $(unit) $(golden) $(if $(wildcard tests/golden/*.t),$B/portlog)
	@$(call run_tests,unit golden)
test-live: $B/portlog $(live)
	@$(call run_tests,live)
test-nspawn: $(BUILD)/static/portlog
	@$(call run_tests,nspawn)
test-vm: $(static)
	@$(call run_tests,vm)

bench: $B/portlog $(bench) $B/tests/live/errand
	@if [ -x tests/bench/run.sh ]; then BUILD=$B tests/bench/run.sh; fi
fuzz: $(fuzz)
	@for f in $(fuzz); do echo "$$f" && $$f -max_total_time=$${FUZZ_SECONDS:-30} -verbosity=0 -artifact_prefix=$(BUILD)/ || exit 1; done
lint:
	@.ci/lint.sh
format:
	clang-format -i $(wildcard include/*/*.h bpf/*.[ch] src/*.[ch] src/*/*.[ch] tests/*/*.[ch] tools/*.c)

# ---- for people ----
deps:
	@tools/deps.sh run
run:
	@tools/deps.sh run
	@$(MAKE) --no-print-directory all $B/demo
	@BUILD=$B tools/demo.sh
$B/demo: tools/demo.c Makefile | $(BUILD)/deps.ok
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(link) $< -o $@

man := $(wildcard man/*.[1-8])
docs := $(wildcard README.md LICENSE)
# Another program to install, as build/static/portlog; another place for the unit, as /etc/systemd/system.
PROGRAM ?= $B/portlog
UNITDIR ?= $(PREFIX)/lib/systemd/system
# logrotate looks here alone, wherever the program is.
SYSCONFDIR ?= /etc
# systemd looks for units in these by itself; elsewhere it has to be told the file.
unit = $(if $(filter /usr/lib/% /usr/local/lib/% /etc/% /lib/%,$(UNITDIR)/),portlog,$(UNITDIR)/portlog.service)
wanted := $(DESTDIR)/etc/systemd/system/sysinit.target.wants/portlog.service
install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/portlog
	$(foreach m,$(man),install -D -m 644 $m $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $m))/$(notdir $m) &&) true
	$(foreach d,$(docs),install -D -m 644 $d $(DESTDIR)$(PREFIX)/share/doc/portlog/$d &&) true
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|@bindir@|$(PREFIX)/bin|' packaging/portlog.service > $(DESTDIR)$(UNITDIR)/portlog.service
	chmod 644 $(DESTDIR)$(UNITDIR)/portlog.service
	install -D -m 644 packaging/portlog.logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/portlog
	@echo "To record from now on and from each boot's start on: sudo systemctl enable --now $(unit)"
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/portlog $(DESTDIR)$(UNITDIR)/portlog.service $(DESTDIR)$(SYSCONFDIR)/logrotate.d/portlog
	rm -f $(foreach m,$(man),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $m))/$(notdir $m))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/portlog
	@[ ! -L $(wanted) ] || echo "The service was still enabled: sudo rm $(wanted); sudo systemctl stop portlog"
	@[ ! -d $(DESTDIR)/var/lib/portlog ] || echo "Its history stays in $(DESTDIR)/var/lib/portlog"
clean:
	rm -rf $(BUILD)

help:
	@echo "make              build build/portlog (never installs; says what is missing)"
	@echo "make run          get what is missing, build, and show five seconds of it (AUTO=1: do not ask)"
	@echo "make deps         get what building needs"
	@echo "make static       build/static/portlog, which runs where nothing is installed"
	@echo "make test         every test; also test-unit, test-live, test-nspawn, test-vm (SAN=address,undefined for test-unit)"
	@echo "make bench|fuzz|lint|format|install|uninstall|clean   (install: DESTDIR=, PREFIX=/usr/local)"

# For scripts that compile one file themselves (clang-tidy).
print-flags:
	@:$(info $(flags) $(test_flags))

.PHONY: all deps run test test-programs test-unit test-live test-vm bench fuzz lint format static install uninstall clean help \
	print-flags
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
