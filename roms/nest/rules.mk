# Builds $(BUILD)/nest.elf, a multiboot 1 image, and $(BUILD)/nest_image.c, the same as a C array.
# Alone:    make -f rules.mk BUILD=/tmp/nest
# Included: set NEST_DIR (this folder) and BUILD first.
# The image depends on the compiler only: no date, no path and no build id goes into it.

BUILD ?= build
NEST_DIR ?= .
NEST_CC ?= cc
NEST_OBJCOPY ?= objcopy

NEST_CFLAGS = -std=c11 -O2 -m64 -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pie \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -ffunction-sections \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wimplicit-fallthrough -Werror
NEST_LDFLAGS = -m64 -nostdlib -static -Wl,--build-id=none -Wl,--gc-sections \
	-Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments

NEST_SOURCES = boot.S entry.S main.c serial.c tables.c report.c compute.c mem.c ept.c vmx.c \
	exit.c capabilities.c vmcs12.c nested.c nested_insn.c
NEST_HEADERS = cpu.h vmx.h level.h vmcs.def exit_reasons.def
NEST_OBJECTS = $(NEST_SOURCES:%=$(BUILD)/nest/%.o)

.PHONY: nest
nest: $(BUILD)/nest.elf $(BUILD)/nest_image.c

$(BUILD)/nest/%.o: $(NEST_DIR)/% $(NEST_HEADERS:%=$(NEST_DIR)/%)
	@mkdir -p $(BUILD)/nest
	$(NEST_CC) $(NEST_CFLAGS) -c -o $@ $<

$(BUILD)/nest/nest.elf64: $(NEST_OBJECTS) $(NEST_DIR)/nest.ld
	$(NEST_CC) $(NEST_LDFLAGS) -T $(NEST_DIR)/nest.ld -o $@ $(NEST_OBJECTS)

# A multiboot loader wants ELF32; the 64-bit code inside does not mind.
$(BUILD)/nest.elf: $(BUILD)/nest/nest.elf64
	$(NEST_OBJCOPY) -S -O elf32-i386 $< $@

$(BUILD)/nest_image.c: $(BUILD)/nest.elf
	{ echo '/* nest.elf as data: made by roms/nest/rules.mk. */'; \
	  echo 'extern const unsigned char nest_image[];'; \
	  echo 'extern const unsigned nest_image_size;'; \
	  echo 'const unsigned char nest_image[] = {'; \
	  od -An -v -tx1 $< | sed -e 's/ *$$//' -e 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' -e 's/^/	/'; \
	  echo '};'; \
	  echo 'const unsigned nest_image_size = sizeof(nest_image);'; } > $@
