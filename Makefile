# gigogne: one Makefile, not recursive. Works as it is; `./configure` only records other choices in
# config.mk. Out-of-tree: run configure from the other folder, then make there.
#
#   make [MODE=rel|dbg|asan|ubsan|cov] [CC=clang] [WERROR=1]
#   make demo DEPTH=4 | check | check-long | coverage | bench | lint | man | install | uninstall | clean

SRCDIR ?= .
-include config.mk

VERSION := 0.1.0
DEFAULT_MODE ?= rel
MODE ?= $(DEFAULT_MODE)
BUILD := build/$(MODE)
prefix ?= /usr/local
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
bashcompdir ?= $(prefix)/share/bash-completion/completions
docdir ?= $(prefix)/share/doc/gigogne
INSTALL ?= install
DEPTH ?= 4
HAVE_CHECK ?= $(shell printf '\043include <check.h>\nint main(void){return 0;}\n' | \
	$(CC) -x c -fsyntax-only - 2>/dev/null && echo 1)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wimplicit-fallthrough $(if $(filter 1,$(WERROR)),-Werror)
BASE_CFLAGS := -std=c11 -g -fno-strict-aliasing -fno-tree-slp-vectorize -ffp-contract=off \
	-fno-math-errno
CPPFLAGS_ALL := -D_GNU_SOURCE -I$(SRCDIR) -DGIGOGNE_VERSION='"$(VERSION)"'

# rel: the threaded interpreter needs sibling calls, which gcc makes from -O2 on. The other modes
# run the same handlers from a loop.
MODE_rel := -O2
MODE_dbg := -O0 -DLOOP_DISPATCH
MODE_asan := -O1 -DLOOP_DISPATCH -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
MODE_ubsan := -O1 -DLOOP_DISPATCH -fsanitize=undefined -fno-sanitize-recover=all
MODE_cov := -O0 -DLOOP_DISPATCH --coverage
ifeq ($(MODE_$(MODE)),)
$(error MODE=$(MODE): there are rel, dbg, asan, ubsan and cov)
endif
COMPILE = $(CC) $(BASE_CFLAGS) $(MODE_$(MODE)) $(WARNINGS) $(CPPFLAGS_ALL) $(CPPFLAGS) $(CFLAGS)
LINK = $(CC) $(MODE_$(MODE)) $(CFLAGS) $(LDFLAGS)
LDLIBS_ALL = $(LDLIBS) -lm

# --- sources: the folders of the program; tests/lint/sources.sh finds files that are in none ---
FOLDERS := base mmu cpu cpu/fpu vmx devices machine frontend frontend/ui frontend/block \
	frontend/control
list = $(patsubst $(SRCDIR)/%,%,$(sort $(wildcard $(addprefix $(SRCDIR)/,$(1)))))
SOURCES := $(call list,$(addsuffix /*.c,$(FOLDERS)))
TEST_SOURCES := $(call list,tests/unit/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
INSN_SOURCES := $(call list,tests/insn/*.c)
INSN_OBJECTS := $(INSN_SOURCES:%.c=$(BUILD)/%.o)
FUZZ_SOURCES := $(call list,tests/fuzz/*.c)
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(BUILD)/%.o)
TEST_OBJECTS := $(TEST_SOURCES:%.c=$(BUILD)/%.o)

# V=1 shows the commands themselves.
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@echo '  $(1)	$(patsubst $(BUILD)/%,%,$@)')

.PHONY: all FORCE demo check check-long coverage bench lint man install uninstall clean distclean \
	print-sources unit format
all: $(BUILD)/gigogne $(if $(filter $(DEFAULT_MODE),$(MODE)),gigogne)

gigogne: build/$(DEFAULT_MODE)/gigogne
	@cp -f $< $@.new && mv -f $@.new $@

$(BUILD)/gigogne: $(OBJECTS) $(BUILD)/nest_image.o
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS_ALL)

# Objects are made again when the compiler or its flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(COMPILE))' | cmp -s - $@ || \
		echo '$(subst ','\'',$(COMPILE))' > $@

$(BUILD)/%.o: $(SRCDIR)/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: $(BUILD)/%.c $(BUILD)/flags
	$(COMPILE) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(INSN_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d)

# --- the built-in guest. It is x86-64 code: NEST_CC is the host's compiler, a cross compiler, or
# empty: then the checked-in image is taken ---
NEST_DIR := $(SRCDIR)/roms/nest
HOST_MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ifneq ($(filter x86_64%,$(HOST_MACHINE)),)
NEST_CC ?= $(CC)
else
NEST_CC ?=
endif
ifneq ($(NEST_CC),)
include $(NEST_DIR)/rules.mk
else
$(BUILD)/nest.elf: $(NEST_DIR)/nest.elf
	@mkdir -p $(@D)
	cp $< $@
$(BUILD)/nest_image.c: $(BUILD)/nest.elf
	{ echo 'extern const unsigned char nest_image[];'; \
	  echo 'extern const unsigned nest_image_size;'; \
	  echo 'const unsigned char nest_image[] = {'; \
	  od -An -v -tx1 $< | sed -e 's/ *$$//' -e 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	  echo '};'; \
	  echo 'const unsigned nest_image_size = sizeof(nest_image);'; } > $@
endif

demo: all
	$(BUILD)/gigogne -demo nest,depth=$(DEPTH)

# --- tests. Each check is a command; tests/check.sh runs them all and adds up. A command that ends
# with a line "N passed, N failed" is counted so, any other as one test by its exit status ---
# Unit tests take from the archive what they name; a bench may define its own board.
$(BUILD)/gigogne.a: $(filter-out $(BUILD)/frontend/main.o,$(OBJECTS)) $(BUILD)/nest_image.o
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rc $@ $^

$(BUILD)/unit: $(TEST_OBJECTS) $(BUILD)/gigogne.a
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(CHECK_LIBS) $(LDLIBS_ALL)

# The interpreter against the processor under it.
$(BUILD)/hostcmp: $(INSN_OBJECTS) $(BUILD)/gigogne.a
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS_ALL)

# Random guests.
$(BUILD)/fuzz: $(FUZZ_OBJECTS) $(BUILD)/gigogne.a
	$(call say,LINK)
	$(Q)$(LINK) -o $@ $^ $(LDLIBS_ALL)

CHECK_LIBS ?= $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lrt -lpthread)

# Every function `Suite *NAME(void)` under tests/unit/ is a suite; main.c runs T(NAME) for each.
$(BUILD)/suites.def: $(addprefix $(SRCDIR)/,$(filter-out tests/unit/main.c,$(TEST_SOURCES)))
	@mkdir -p $(@D)
	@{ sed -n 's/^Suite \*\([a-z0-9_]*\)(void)$$/T(\1)/p' $^; echo '#undef T'; } > $@

$(BUILD)/tests/unit/main.o: $(BUILD)/suites.def
$(BUILD)/tests/unit/main.o: private CPPFLAGS_ALL += -I$(BUILD)

unit: all $(BUILD)/unit
	$(TEST_ENV) $(BUILD)/unit

# Other checks: add a script's path, from the top folder, to one of these lists.
CHECK_SCRIPTS := tests/lint/run.sh tests/cli/run.sh tests/checks/insn.sh tests/checks/demo.sh tests/checks/nest.sh tests/checks/dispatch.sh \
	tests/checks/shutdown.sh \
	tests/guest/check.sh tests/fuzz/quick.sh
CHECK_LONG_SCRIPTS := tests/robust/badinput.sh tests/guest/check-long.sh tests/xen/check.sh tests/fuzz/long.sh \
	tests/fuzz/vmcs-long.sh
CHECKS := $(if $(filter 1,$(HAVE_CHECK)),$(BUILD)/unit) $(addprefix $(SRCDIR)/,$(CHECK_SCRIPTS))
CHECKS_LONG := $(CHECKS) $(addprefix $(SRCDIR)/,$(CHECK_LONG_SCRIPTS))
# Check's own limit of four seconds is too short for a loaded machine.
TEST_ENV = CK_DEFAULT_TIMEOUT=60 SRCDIR='$(abspath $(SRCDIR))' BUILD='$(abspath $(BUILD))' \
	GIGOGNE='$(abspath $(BUILD))/gigogne' CC='$(CC)' MAKE='$(MAKE)'
NEED_CHECK = $(if $(filter 1,$(HAVE_CHECK)),$(BUILD)/unit,no-check)

.PHONY: no-check
no-check:
	@echo 'make: the unit tests need the library Check (package check); going without' >&2

CHECK_PROGRAMS = $(NEED_CHECK) $(BUILD)/hostcmp $(BUILD)/fuzz

check: all $(CHECK_PROGRAMS)
	@$(TEST_ENV) sh $(SRCDIR)/tests/check.sh $(CHECKS)

check-long: all $(CHECK_PROGRAMS)
	@$(TEST_ENV) sh $(SRCDIR)/tests/check.sh $(CHECKS_LONG)

# Branch coverage of vmx/.
coverage:
	@$(TEST_ENV) sh $(SRCDIR)/tests/coverage.sh

bench: all
	@$(TEST_ENV) sh $(SRCDIR)/tests/bench.sh

lint:
	@$(TEST_ENV) sh $(SRCDIR)/tests/lint/run.sh

# Applies .clang-format to the whole tree.
format:
	cd $(SRCDIR) && find base mmu cpu vmx devices machine frontend tests roms -name '*.[ch]' | \
		xargs clang-format -i --style=file

print-sources:
	@printf '%s\n' $(SOURCES) $(TEST_SOURCES) $(INSN_SOURCES) $(FUZZ_SOURCES)

# --- documentation out of the option table, and installation. RUN: what runs a program that was
# built for another machine ---
man: $(BUILD)/gigogne.1 $(BUILD)/gigogne.bash

$(BUILD)/gigogne.1: $(BUILD)/gigogne
	$(RUN) $(BUILD)/gigogne -help=man > $@.new && mv $@.new $@

$(BUILD)/gigogne.bash: $(BUILD)/gigogne
	$(RUN) $(BUILD)/gigogne -help=bash > $@.new && mv $@.new $@

install: all man
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(bashcompdir) \
		$(DESTDIR)$(docdir)
	$(INSTALL) -m 755 $(BUILD)/gigogne $(DESTDIR)$(bindir)/gigogne
	$(INSTALL) -m 644 $(BUILD)/gigogne.1 $(DESTDIR)$(mandir)/man1/gigogne.1
	$(INSTALL) -m 644 $(BUILD)/gigogne.bash $(DESTDIR)$(bashcompdir)/gigogne
	for f in README.md LICENSE SPEC.md; do \
		if [ -f $(SRCDIR)/$$f ]; then $(INSTALL) -m 644 $(SRCDIR)/$$f $(DESTDIR)$(docdir)/$$f; fi; done

uninstall:
	rm -f $(DESTDIR)$(bindir)/gigogne $(DESTDIR)$(mandir)/man1/gigogne.1 \
		$(DESTDIR)$(bashcompdir)/gigogne
	rm -rf $(DESTDIR)$(docdir)

clean:
	rm -rf build gigogne gigogne.new

distclean: clean
	rm -f config.mk config.log
