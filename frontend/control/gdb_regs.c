/*
 * Registers for gdb and the target description that names them. The description is always that of a
 * 64-bit processor, in whatever mode the guest is: gdb cannot change its mind in a session.
 *
 * Left out: setting control registers and selectors, whose checks and side effects belong to
 * instructions; MSRs other than the few that are listed.
 */
#include <stdlib.h>

#include "frontend/control/gdb_internal.h"

enum kind {
	K_GPR, /* index: enum gpr */
	K_RIP,
	K_EFLAGS,
	K_SELECTOR, /* index: enum segreg */
	K_SEGBASE,
	K_ST,  /* index from the top of the x87 stack */
	K_X87, /* index: fctrl fstat ftag fiseg fioff foseg fooff fop */
	K_XMM,
	K_YMMH,
	K_MXCSR,
	K_SYSTEM, /* index: offset of a u64 in struct vcpu; read-only */
};

static const struct {
	const char *name, *type;
	u16 bits;
	u16 kind;
	size_t index;
} regs[] = {
#define F(name)
#define R(name, bits, type, kind, index) {name, type, bits, K_##kind, index},
#include "frontend/control/gdb_regs.def"
};

unsigned gdb_reg_count(void)
{
	return ARRAY_SIZE(regs);
}

unsigned gdb_reg_size(unsigned n)
{
	return n < ARRAY_SIZE(regs) ? regs[n].bits / 8 : 0;
}

static unsigned st_slot(const struct vcpu *v, size_t index)
{
	return ((v->x87.fsw >> 11) + index) & 7;
}

/* The 16-bit tag word: 0 valid, 1 zero, 2 special, 3 empty. */
static u32 full_tag(const struct x87 *x)
{
	u32 tag = 0;

	for (unsigned i = 0; i < 8; i++) {
		const struct f80_reg *r = &x->st[i];
		unsigned e = r->se & 0x7fff, t = 0;

		if (!(x->tag_valid >> i & 1))
			t = 3;
		else if (!e && !r->sig)
			t = 1;
		else if (!e || e == 0x7fff || !(r->sig >> 63))
			t = 2;
		tag |= t << (2 * i);
	}
	return tag;
}

static u32 x87_read(const struct x87 *x, size_t index)
{
	const u32 values[8] = {x->fcw,	    x->fsw, full_tag(x), x->fcs,
			       (u32)x->fip, x->fds, (u32)x->fdp, x->fop};

	return values[index];
}

static void x87_write(struct x87 *x, size_t index, u32 value)
{
	switch (index) {
	case 0:
		x->fcw = (u16)value;
		break;
	case 1:
		x->fsw = (u16)value;
		break;
	case 2:
		x->tag_valid = 0;
		for (unsigned i = 0; i < 8; i++)
			x->tag_valid |= (u8)(((value >> (2 * i) & 3) != 3) << i);
		break;
	case 3:
		x->fcs = (u16)value;
		break;
	case 4:
		x->fip = value;
		break;
	case 5:
		x->fds = (u16)value;
		break;
	case 6:
		x->fdp = value;
		break;
	default:
		x->fop = value & 0x7ff;
	}
}

static u64 scalar_read(const struct vcpu *v, unsigned n)
{
	size_t index = regs[n].index;

	switch (regs[n].kind) {
	case K_GPR:
		return v->reg[index];
	case K_RIP: /* flat, so that breakpoints and disassembly meet the code in real mode too */
		return v->mode == MODE_64 ? v->rip : (u32)(v->seg[SEG_CS].base + v->rip);
	case K_EFLAGS:
		return flags_get(v);
	case K_SELECTOR:
		return v->seg[index].sel;
	case K_SEGBASE:
		return v->seg[index].base;
	case K_X87:
		return x87_read(&v->x87, index);
	case K_MXCSR:
		return v->mxcsr;
	default:
		return *(const u64 *)((const char *)v + index);
	}
}

unsigned gdb_reg_read(const struct vcpu *v, unsigned n, u8 buf[GDB_REG_MAX])
{
	unsigned size = gdb_reg_size(n);
	const struct f80_reg *st;

	if (!size)
		return 0;
	switch (regs[n].kind) {
	case K_ST:
		st = &v->x87.st[st_slot(v, regs[n].index)];
		store_le(buf, st->sig, 8);
		store_le(buf + 8, st->se, 2);
		break;
	case K_XMM:
	case K_YMMH:
		for (unsigned k = 0; k < 16; k++)
			buf[k] = v->ymm[regs[n].index].b[k + (regs[n].kind == K_YMMH ? 16 : 0)];
		break;
	default:
		store_le(buf, scalar_read(v, n), size);
	}
	return size;
}

/* What gdb may change of RFLAGS: not VM, RF and the bits that do not exist. */
#define EFLAGS_SETTABLE                                                                            \
	(RFLAGS_ARITH | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC |  \
	 RFLAGS_ID)

static bool scalar_write(struct vcpu *v, unsigned n, u64 value)
{
	size_t index = regs[n].index;

	switch (regs[n].kind) {
	case K_GPR:
		v->reg[index] = value;
		return true;
	case K_RIP:
		v->rip = v->mode == MODE_64 ? value : (u32)(value - v->seg[SEG_CS].base);
		return v->mode != MODE_64 || is_canonical(value, v->width_laddr);
	case K_EFLAGS:
		flags_set(v, (flags_get(v) & ~EFLAGS_SETTABLE) | (value & EFLAGS_SETTABLE));
		return true;
	case K_SEGBASE:
		if (v->mode != MODE_64 || !is_canonical(value, v->width_laddr))
			return v->seg[index].base == value;
		v->seg[index].base = value;
		return true;
	case K_X87:
		x87_write(&v->x87, index, (u32)value);
		return true;
	case K_MXCSR:
		v->mxcsr = value & 0xffff;
		return true;
	default:
		return scalar_read(v, n) == value;
	}
}

unsigned gdb_reg_write(struct vcpu *v, unsigned n, const u8 *buf)
{
	unsigned size = gdb_reg_size(n);
	struct f80_reg *st;

	if (!size)
		return 0;
	switch (regs[n].kind) {
	case K_ST:
		st = &v->x87.st[st_slot(v, regs[n].index)];
		st->sig = load_le(buf, 8);
		st->se = (u16)load_le(buf + 8, 2);
		break;
	case K_XMM:
	case K_YMMH:
		for (unsigned k = 0; k < 16; k++)
			v->ymm[regs[n].index].b[k + (regs[n].kind == K_YMMH ? 16 : 0)] = buf[k];
		break;
	default:
		if (!scalar_write(v, n, load_le(buf, size)))
			return 0;
	}
	vcpu_recompute(v);
	return size;
}

/* --- target description --- */

static void xml_types(FILE *out, const char *feature)
{
	if (strstr(feature, "core")) {
		static const struct {
			const char *name;
			int bit;
		} flags[] = {{"CF", 0},	 {"PF", 2},   {"AF", 4},   {"ZF", 6},
			     {"SF", 7},	 {"TF", 8},   {"IF", 9},   {"DF", 10},
			     {"OF", 11}, {"NT", 14},  {"RF", 16},  {"VM", 17},
			     {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};

		fprintf(out, "<flags id=\"i386_eflags\" size=\"4\">");
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			fprintf(out, "<field name=\"%s\" start=\"%d\" end=\"%d\"/>", flags[i].name,
				flags[i].bit, flags[i].bit);
		fprintf(out, "</flags>");
	}
	if (strstr(feature, "sse"))
		fprintf(out, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
			     "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
			     "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
			     "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
			     "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
			     "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
			     "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
			     "<field name=\"v2_double\" type=\"v2d\"/>"
			     "<field name=\"v16_int8\" type=\"v16i8\"/>"
			     "<field name=\"v8_int16\" type=\"v8i16\"/>"
			     "<field name=\"v4_int32\" type=\"v4i32\"/>"
			     "<field name=\"v2_int64\" type=\"v2i64\"/>"
			     "<field name=\"uint128\" type=\"uint128\"/></union>");
}

char *gdb_target_xml(const struct vcpu *v)
{
	static const struct {
		const char *feature, *reg, *type;
		int bits;
	} rows[] = {
#define F(name) {name, NULL, NULL, 0},
#define R(name, bits, type, kind, index) {NULL, name, type, bits},
#include "frontend/control/gdb_regs.def"
	};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool open = false;

	(void)v;
	if (!out)
		return NULL;
	fprintf(out, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
		     "<target version=\"1.0\"><architecture>i386:x86-64</architecture>");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].feature) {
			fprintf(out, "%s<feature name=\"%s\">", open ? "</feature>" : "",
				rows[i].feature);
			xml_types(out, rows[i].feature);
			open = true;
		} else {
			fprintf(out, "<reg name=\"%s\" bitsize=\"%d\" type=\"%s\"/>", rows[i].reg,
				rows[i].bits, rows[i].type);
		}
	}
	fprintf(out, "</feature></target>");
	fclose(out);
	return text;
}
