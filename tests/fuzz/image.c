/*
 * Guest images. Random code alone ends at its first fault; so most images are a frame that sets up
 * descriptor tables, and where wanted paging and VMX operation, and in which every exception and
 * interrupt goes on at another place of the random code. Only what the code itself destroys ends it.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"

extern const unsigned char nest_image[];
extern const unsigned nest_image_size;

/* Places in a framed image, from its load address. */
enum {
	AT_PROLOGUE = 0x20,
	AT_GDT = 0x400,
	AT_POINTERS = 0x600, /* operands of LGDT, LIDT, VMXON, VMPTRLD */
	AT_IDT = 0x800,
	AT_TSS = 0x1800,
	AT_COUNTER = 0x1900,
	AT_HANDLER = 0x1a00,
	AT_PML4 = 0x2000,
	AT_PDPT = 0x3000,
	AT_LOW_PD = 0x4000,
	AT_HIGH_PD = 0x5000,
	AT_VMXON = 0x6000,
	AT_VMCS = 0x7000,
	AT_STACK = 0xa000,
	AT_CODE = 0x10000,
	CODE_SIZE = 0x10000,
};

enum { SEL_CODE32 = 0x08, SEL_DATA = 0x10, SEL_CODE64 = 0x18, SEL_CODE16 = 0x20, SEL_TSS = 0x30 };

struct frame {
	struct image *im;
	size_t at;
	u32 base;
	enum fuzz_kind kind;
	struct rng *r;
};

static void put(struct frame *f, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		f->im->byte[f->at++] = (u8)(value >> 8 * i);
}

static void code(struct frame *f, const char *bytes, size_t n)
{
	memcpy(f->im->byte + f->at, bytes, n);
	f->at += n;
}

#define CODE(f, text) code((f), (text), sizeof(text) - 1)

static bool is_long(const struct frame *f)
{
	return f->kind == FUZZ_CODE64 || f->kind == FUZZ_VMX || f->kind == FUZZ_VMCS;
}

static bool has_vmx(const struct frame *f)
{
	return f->kind == FUZZ_VMX || f->kind == FUZZ_VMCS;
}

static void header(struct image *im, u32 base)
{
	const u32 h[] = {0x1badb002, 0x10000, 0u - 0x1badb002 - 0x10000, base, base,
			 0,	     0,	      base + AT_PROLOGUE};

	memcpy(im->byte, h, sizeof(h));
}

static u64 descriptor(u32 base, u32 limit, u32 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)flags << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

static void tables(struct frame *f)
{
	u32 code_base = f->base + AT_CODE, gates = is_long(f) ? 16 : 8;

	f->at = AT_GDT;
	put(f, 0, 8);
	put(f, descriptor(0, 0xfffff, 0xc09b), 8);
	put(f, descriptor(0, 0xfffff, 0xc093), 8);
	put(f, descriptor(0, 0xfffff, 0xa09b), 8);
	put(f, descriptor(code_base, 0xffff, 0x009b), 8);
	put(f, descriptor(code_base, 0xffff, 0x00f3), 8);
	put(f, descriptor(f->base + AT_TSS, 0x67, 0x0089), 8);
	put(f, 0, 8);
	f->at = AT_POINTERS;
	put(f, 0x3f, 2);
	put(f, f->base + AT_GDT, 8);
	f->at = AT_POINTERS + 16;
	put(f, 256 * gates - 1, 2);
	put(f, f->base + AT_IDT, 8);
	f->at = AT_POINTERS + 32;
	put(f, f->base + AT_VMXON, 8);
	put(f, f->base + AT_VMCS, 8);
	f->at = AT_IDT;
	for (unsigned n = 0; n < 256; n++) {
		u32 to = f->base + AT_HANDLER;

		put(f, (to & 0xffff) | (u32)(is_long(f) ? SEL_CODE64 : SEL_CODE32) << 16, 4);
		put(f, (rng_chance(f->r, 2) ? 0xee00 : 0x8e00) | (to & 0xffff0000), 4);
		put(f, 0, is_long(f) ? 8 : 0);
	}
	f->at = AT_TSS + 4;
	put(f, f->base + AT_STACK, 4);
	put(f, is_long(f) ? 0 : SEL_DATA, 4);
	f->at = AT_COUNTER;
	put(f, rng_next(f->r), 4);
}

/* 1 GiB from 0 and 1 GiB up to 4 GiB, by pages of 2 MiB, as they are in physical memory. */
static void page_tables(struct frame *f)
{
	f->at = AT_PML4;
	put(f, f->base + AT_PDPT + 7, 8);
	f->at = AT_PDPT;
	put(f, f->base + AT_LOW_PD + 7, 8);
	f->at = AT_PDPT + 3 * 8;
	put(f, f->base + AT_HIGH_PD + 7, 8);
	f->at = AT_LOW_PD;
	for (u64 n = 0; n < 512; n++)
		put(f, n << 21 | 0x87, 8);
	f->at = AT_HIGH_PD;
	for (u64 n = 0; n < 512; n++)
		put(f, 0xc0000000 + (n << 21) + 0x87, 8);
}

/* The exit of the handler into the random code; its offset is in EAX. */
static void go_on(struct frame *f)
{
	switch (f->kind) {
	case FUZZ_CODE16:
		CODE(f, "\x6a\x20\x50\xcb"); /* push $0x20; push %eax; lret */
		break;
	case FUZZ_V86:
		/* push 0 four times (GS to ES), SS, ESP, EFLAGS with VM, CS, EIP; iret */
		CODE(f, "\x6a\x00\x6a\x00\x6a\x00\x6a\x00\x68\x00\x20\x00\x00\x68\x00\xf0\x00\x00");
		CODE(f, "\x68");
		put(f, 0x20202 | (rng_chance(f->r, 2) ? 0x3000 : 0), 4);
		CODE(f, "\x68\x00\x20\x00\x00\x50\xcf");
		break;
	default:
		CODE(f, "\x05"); /* add $code, %eax; jmp *%eax */
		put(f, f->base + AT_CODE, 4);
		CODE(f, "\xff\xe0");
	}
}

/* The same bytes in 32-bit and 64-bit mode. */
static void handler(struct frame *f)
{
	f->at = AT_HANDLER;
	CODE(f, "\xb8\x10\x00\x00\x00\x8e\xd8\x8e\xc0\x8e\xd0\xbc"); /* data segments; mov , %esp */
	put(f, f->base + AT_STACK, 4);
	CODE(f, "\x69\x04\x25"); /* imul , counter, %eax */
	put(f, f->base + AT_COUNTER, 4);
	put(f, 1103515245, 4);
	CODE(f, "\x05\x39\x30\x00\x00\x89\x04\x25"); /* add $12345, %eax; mov %eax, counter */
	put(f, f->base + AT_COUNTER, 4);
	CODE(f, "\xc1\xe8\x0c\x25"); /* shr $12, %eax; and , %eax */
	put(f, f->kind == FUZZ_VMCS ? CODE_SIZE - FUZZ_PIECE : CODE_SIZE - 1, 4);
	if (rng_chance(f->r, 2))
		CODE(f, "\xfb"); /* sti */
	go_on(f);
}

static void write_msr(struct frame *f, u32 msr, u32 value)
{
	CODE(f, "\xb9");
	put(f, msr, 4);
	CODE(f, "\x31\xd2\xb8");
	put(f, value, 4);
	CODE(f, "\x0f\x30");
}

/* IA32_FEATURE_CONTROL is locked as firmware leaves it. */
static void enter_vmx(struct frame *f)
{
	CODE(f, "\xb9\x80\x04\x00\x00\x0f\x32"); /* the VMCS revision identifier */
	CODE(f, "\x89\x04\x25");
	put(f, f->base + AT_VMXON, 4);
	CODE(f, "\x89\x04\x25");
	put(f, f->base + AT_VMCS, 4);
	CODE(f, "\xf3\x0f\xc7\x34\x25"); /* VMXON */
	put(f, f->base + AT_POINTERS + 32, 4);
	CODE(f, "\x0f\xc7\x34\x25"); /* VMPTRLD */
	put(f, f->base + AT_POINTERS + 40, 4);
}

static void enter_long_mode(struct frame *f)
{
	CODE(f, "\xb8");
	put(f, f->base + AT_PML4, 4);
	CODE(f, "\x0f\x22\xd8"); /* mov %eax, %cr3 */
	write_msr(f, 0xc0000080, 0x901);
	CODE(f, "\x0f\x20\xc0\x0d\x20\x00\x01\x80\x0f\x22\xc0"); /* CR0: PG, WP, NE */
	CODE(f, "\xea");
	put(f, f->base + f->at + 6, 4);
	put(f, SEL_CODE64, 2);
	if (has_vmx(f))
		enter_vmx(f);
}

static void prologue(struct frame *f)
{
	f->at = AT_PROLOGUE;
	CODE(f, "\xbc");
	put(f, f->base + AT_STACK, 4);
	CODE(f, "\x0f\x01\x15"); /* LGDT */
	put(f, f->base + AT_POINTERS, 4);
	CODE(f, "\x0f\x01\x1d"); /* LIDT */
	put(f, f->base + AT_POINTERS + 16, 4);
	CODE(f, "\xea");
	put(f, f->base + f->at + 6, 4);
	put(f, SEL_CODE32, 2);
	CODE(f, "\xb8\x10\x00\x00\x00\x8e\xd8\x8e\xc0\x8e\xd0\x8e\xe0\x8e\xe8");
	CODE(f, "\xb8"); /* CR4: SSE, XSAVE, PAE, PGE, VMX where there is one */
	put(f, has_vmx(f) ? 0x426b0 : 0x406b0, 4);
	CODE(f, "\x0f\x22\xe0");
	CODE(f, "\x31\xc9\x31\xd2\xb8\x07\x00\x00\x00\x0f\x01\xd1"); /* XCR0: x87, SSE, AVX */
	if (is_long(f))
		enter_long_mode(f);
	CODE(f, "\xb8\x30\x00\x00\x00\x0f\x00\xd8\xe9"); /* LTR; jmp handler */
	put(f, (u32)(AT_HANDLER - (f->at + 4)), 4);
}

static void framed(struct image *im, enum fuzz_kind kind, struct rng *r)
{
	struct frame f = {.im = im, .kind = kind, .r = r};

	f.base = kind == FUZZ_V86 ? 0x10000 : 0x100000;
	header(im, f.base);
	tables(&f);
	if (is_long(&f))
		page_tables(&f);
	handler(&f);
	prologue(&f);
	im->size = AT_CODE + CODE_SIZE;
	if (kind == FUZZ_VMCS)
		vmcs_fill(im, f.base, AT_HANDLER, AT_STACK, AT_CODE, CODE_SIZE, r);
	else
		code_fill(im->byte + AT_CODE, CODE_SIZE, kind, r);
}

static void raw(struct image *im, struct rng *r)
{
	u32 fields[8] = {0x1badb002, 0x10000, 0u - 0x1badb002 - 0x10000};

	im->size = 64 + rng_below(r, 65536);
	code_fill(im->byte, im->size, FUZZ_RAW, r);
	header(im, 0x100000);
	if (!rng_chance(r, 4))
		return;
	for (unsigned n = 3; n < 8; n++)
		fields[n] = rng_chance(r, 2) ? (u32)rng_next(r) : rng_below(r, 0x400000);
	memcpy(im->byte, fields, sizeof(fields));
}

/* "The Linux/x86 Boot Protocol": the offsets are those of the real-mode kernel header. */
static void bzimage(struct image *im, struct rng *r)
{
	im->size = 1024 + rng_below(r, 65536);
	code_fill(im->byte, im->size, FUZZ_CODE64, r);
	memcpy(im->byte + 0x1fe, "\x55\xaa", 2);
	memcpy(im->byte + 0x202, "HdrS", 4);
	im->byte[0x1f1] = rng_chance(r, 4) ? (u8)rng_next(r) : 1;
	im->byte[0x206] = (u8)(12 + rng_below(r, 4));
	im->byte[0x207] = rng_chance(r, 8) ? (u8)rng_next(r) : 2;
	im->byte[0x211] |= 1;
	im->byte[0x236] |= 1;
	if (rng_chance(r, 4))
		return;
	memset(im->byte + 0x1f4, 0, 4);
	im->byte[0x1f4] = (u8)rng_below(r, (u32)(im->size >> 4) < 255 ? (u32)(im->size >> 4) : 255);
	memcpy(im->byte + 0x258, "\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x10\x00", 12);
}

static void nest_base(struct image *im)
{
	im->size = nest_image_size < FUZZ_IMAGE_MAX ? nest_image_size : FUZZ_IMAGE_MAX;
	memcpy(im->byte, nest_image, im->size);
}

static void change_bytes(struct image *im, u32 first, u32 size, unsigned count, bool bits,
			 struct rng *r)
{
	while (count--) {
		u8 *p = im->byte + first + rng_below(r, size);

		*p = bits ? (u8)(*p ^ 1 << rng_below(r, 8)) : (u8)rng_next(r);
	}
}

static void move_blocks(struct image *im, struct rng *r)
{
	for (unsigned n = 1 + rng_below(r, 4); n; n--) {
		u32 len = 1 + rng_below(r, 512);
		u32 from = rng_below(r, (u32)im->size - len),
		    to = rng_below(r, (u32)im->size - len);

		memmove(im->byte + to, im->byte + from, len);
	}
	if (rng_chance(r, 8))
		im->size = 1 + rng_below(r, (u32)im->size);
}

void image_make(struct image *im, enum fuzz_kind kind, struct rng *r)
{
	memset(im, 0, sizeof(*im));
	switch (kind) {
	case FUZZ_RAW:
		raw(im, r);
		return;
	case FUZZ_LINUX:
		bzimage(im, r);
		return;
	case FUZZ_NEST_BITS:
	case FUZZ_NEST_BYTES:
		nest_base(im);
		change_bytes(im, 4096, (u32)im->size - 4096, 1 + rng_below(r, 24),
			     kind == FUZZ_NEST_BITS, r);
		return;
	case FUZZ_NEST_BLOCKS:
		nest_base(im);
		move_blocks(im, r);
		return;
	case FUZZ_NEST_HEAD:
		nest_base(im);
		change_bytes(im, 0, 256, 1 + rng_below(r, 8), rng_chance(r, 2), r);
		return;
	default:
		framed(im, kind, r);
	}
}
