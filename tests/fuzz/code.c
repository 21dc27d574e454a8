/*
 * Random code that is denser in interesting instructions than random bytes are: prefixes and escapes,
 * ports and device memory, PCI configuration, control registers, MSRs, VMX.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"

struct out {
	u8 *to;
	size_t at, size;
	struct rng *r;
	enum fuzz_kind kind;
};

static void put(struct out *o, u32 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && o->at < o->size; i++)
		o->to[o->at++] = (u8)(value >> 8 * i);
}

static void put_random(struct out *o, unsigned bytes)
{
	while (bytes--)
		put(o, rng_below(o->r, 256), 1);
}

#define PICK(o, list) (list)[rng_below((o)->r, sizeof(list) / sizeof(*(list)))]

/* mov $value, %eax, %ecx, %edx or %ebx; 16-bit code needs the operand-size prefix. */
enum { EAX, ECX, EDX, EBX };

static void set_register(struct out *o, unsigned reg, u32 value)
{
	if (o->kind == FUZZ_CODE16 || o->kind == FUZZ_V86)
		put(o, 0x66, 1);
	put(o, 0xb8 + reg, 1);
	put(o, value, 4);
}

static u32 random_value(struct out *o)
{
	static const u32 edge[] = {0,	       1,	   2,	       0x7f,	  0x80,
				   0xff,       0xffff,	   0x8000,     0x100000,  0x110000,
				   0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	switch (rng_below(o->r, 4)) {
	case 0:
		return PICK(o, edge);
	case 1:
		return rng_below(o->r, 256);
	case 2:
		return rng_below(o->r, 0x200000) & ~7u;
	default:
		return (u32)rng_next(o->r);
	}
}

static void any_bytes(struct out *o)
{
	put_random(o, 1 + rng_below(o->r, 8));
}

static void escape(struct out *o)
{
	static const u8 prefix[] = {0x66, 0xf2, 0xf3, 0x67, 0xf0, 0x2e, 0x48, 0x4c, 0x44};
	static const u8 map[] = {0x38, 0x3a};

	for (unsigned n = rng_below(o->r, 3); n; n--)
		put(o, PICK(o, prefix), 1);
	put(o, 0x0f, 1);
	if (rng_chance(o->r, 3))
		put(o, PICK(o, map), 1);
	put_random(o, 2);
}

static void vex(struct out *o)
{
	if (rng_chance(o->r, 2)) {
		put(o, 0xc5, 1);
		put_random(o, 1);
	} else {
		put(o, 0xc4, 1);
		put(o, 0xe1 + rng_below(o->r, 3), 1);
		put_random(o, 1);
	}
	put_random(o, 2);
}

static void x87(struct out *o)
{
	put(o, 0xd8 + rng_below(o->r, 8), 1);
	put_random(o, 1);
}

static void port(struct out *o)
{
	static const u16 known[] = {0x20,  0x21,  0xa0,	 0xa1,	0x40,  0x42,  0x43,  0x60,  0x61,
				    0x64,  0x70,  0x71,	 0x80,	0x92,  0xb2,  0xe0,  0xe4,  0xe9,
				    0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x4d0, 0x510, 0x511,
				    0x514, 0xcf8, 0xcfc, 0x600, 0x604, 0x608};
	static const u8 op[] = {0xee, 0xef, 0xec, 0xed, 0x6c, 0x6d, 0x6e, 0x6f};

	set_register(o, EDX, rng_chance(o->r, 8) ? rng_below(o->r, 65536) : PICK(o, known));
	set_register(o, EAX, random_value(o));
	if (rng_chance(o->r, 4))
		put(o, 0x66, 1);
	put(o, PICK(o, op), 1);
}

static void pci_config(struct out *o)
{
	u32 reg = rng_below(o->r, 4) ? rng_below(o->r, 16) * 4 : rng_below(o->r, 64) * 4;

	set_register(o, EDX, 0xcf8);
	set_register(o, EAX, 0x80000000 | rng_below(o->r, 8) << 11 | reg);
	put(o, 0xef, 1);
	set_register(o, EDX, 0xcfc + rng_below(o->r, 4) * rng_below(o->r, 2));
	if (reg == 4)
		set_register(o, EAX, 7);
	else if (rng_chance(o->r, 2))
		set_register(o, EAX, 0xe0000000 | rng_below(o->r, 8) << 16);
	else
		set_register(o, EAX, random_value(o));
	put(o, 0xef, 1);
}

/* mov %eax or %al to, or from, an absolute address. */
static void device_memory(struct out *o)
{
	static const u32 base[] = {0xfee00000, 0xfec00000, 0xfed00000, 0xe0000000, 0xe0010000,
				   0xe0020000, 0xe0030000, 0xa0000,    0xfffffff0};
	static const u8 op[] = {0x89, 0x89, 0x8b, 0x88, 0x8a, 0x87, 0x01};
	u32 offset = rng_below(o->r, rng_chance(o->r, 2) ? 0x40 : 0x1000);

	set_register(o, EAX, random_value(o));
	if (o->kind == FUZZ_CODE16 || o->kind == FUZZ_V86)
		put(o, 0x67, 1);
	put(o, PICK(o, op), 1);
	put(o, 0x2504, 2);
	put(o, PICK(o, base) + (rng_chance(o->r, 8) ? offset : offset & ~3u), 4);
}

static void msr(struct out *o)
{
	static const u32 first[] = {0x10,  0x1b,  0x3a,	 0x174, 0x1a0, 0x1d9,	   0x200,
				    0x250, 0x277, 0x2ff, 0x400, 0x480, 0x6e0,	   0xda0,
				    0x800, 0x810, 0x820, 0x830, 0x8b,  0xc0000080, 0xc0000100};

	set_register(o, ECX, PICK(o, first) + rng_below(o->r, 18) * rng_below(o->r, 2));
	set_register(o, EDX, rng_chance(o->r, 2) ? 0 : random_value(o));
	set_register(o, EAX, random_value(o));
	put(o, rng_chance(o->r, 3) ? 0x320f : 0x300f, 2);
}

/* mov to and from CR0 to CR8 and DR0 to DR7, with the sane bits of CR0 and CR4 mostly kept. */
static void control(struct out *o)
{
	unsigned reg = rng_below(o->r, 8);
	bool debug = rng_chance(o->r, 3);
	u32 value = random_value(o);

	if (!debug && reg == 0)
		value = 0x80010031 ^ (rng_chance(o->r, 2) ? 1u << rng_below(o->r, 32) : 0);
	if (!debug && reg == 4)
		value = 0x426b0 ^ 1u << rng_below(o->r, 25);
	if (!debug && reg == 3)
		value &= ~1u;
	set_register(o, EAX, value);
	put(o, 0x0f, 1);
	put(o, (debug ? 0x21 : 0x20) + 2 * rng_below(o->r, 2), 1);
	put(o, 0xc0 | reg << 3, 1);
}

static void system_group(struct out *o)
{
	static const u16 op[] = {0x010f, 0x000f, 0xae0f, 0xc70f, 0x1c0f, 0x180f};

	put(o, PICK(o, op), 2);
	put_random(o, 1);
}

static void vmcs_field(struct out *o)
{
	u32 field = rng_below(o->r, 32) << 1 | rng_below(o->r, 4) << 10 | rng_below(o->r, 4) << 13;

	set_register(o, EAX, field | rng_chance(o->r, 16));
	set_register(o, EBX, random_value(o));
	put(o, rng_chance(o->r, 4) ? 0xc3780f : 0xd8790f, 3);
}

static void vmx(struct out *o)
{
	/* VMCALL, VMLAUNCH, VMRESUME, VMXOFF, VMFUNC, then those with a memory operand: VMPTRLD,
	 * VMCLEAR, VMXON, VMPTRST, INVEPT, INVVPID, INVPCID. */
	static const u32 whole[] = {0xc1010f, 0xc2010f, 0xc3010f, 0xc4010f, 0xd4010f};
	static const u32 operand[] = {0x34c70f,	  0x34c70f66, 0x34c70ff3, 0x3cc70f,
				      0x80380f66, 0x81380f66, 0x82380f66};
	u32 n = rng_below(o->r, 4);

	if (n > 1) {
		vmcs_field(o);
	} else if (n) {
		put(o, PICK(o, whole), 3);
	} else {
		u32 pick = rng_below(o->r, 7);

		put(o, operand[pick], pick == 0 || pick == 3 ? 3 : 4);
		if (pick > 3)
			put(o, 0x04, 1);
		put(o, 0x25, 1);
		put(o, 0x100000 | rng_below(o->r, 0x200) << 3, 4);
	}
}

static void string_op(struct out *o)
{
	static const u8 op[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xa7, 0xac, 0xad, 0xae, 0xaf};

	set_register(o, ECX, rng_chance(o->r, 8) ? random_value(o) : rng_below(o->r, 5000));
	put(o, 0xf2 + rng_below(o->r, 2), 1);
	put(o, PICK(o, op), 1);
}

static void flow(struct out *o)
{
	static const u8 op[] = {0xeb, 0xe8, 0xe9, 0xc3, 0xcf, 0xcd, 0xcc, 0xff, 0xfb, 0xfa,
				0xf4, 0x9d, 0x9c, 0xe2, 0xca, 0xcb, 0xea, 0x9a, 0x8e};

	put(o, PICK(o, op), 1);
	put_random(o, 1 + rng_below(o->r, 4));
}

void code_fill(u8 *to, size_t size, enum fuzz_kind kind, struct rng *r)
{
	static void (*const any[])(struct out *) = {
		any_bytes, any_bytes,	 any_bytes,  any_bytes,	    escape, escape,  vex,  x87,
		port,	   port,	 pci_config, device_memory, msr,    control, flow, flow,
		string_op, system_group, vmx};
	struct out o = {.to = to, .size = size, .r = r, .kind = kind};

	while (o.at < size) {
		if (kind == FUZZ_RAW)
			put_random(&o, 1);
		else if (kind == FUZZ_VMX && rng_chance(r, 2))
			vmx(&o);
		else
			PICK(&o, any)(&o);
	}
}
