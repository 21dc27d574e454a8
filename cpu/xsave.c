/*
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, LDMXCSR, STMXCSR. Components:
 * x87, SSE, AVX, PKRU; supervisor components: CET_U and CET_S. The area is built in a buffer and
 * stored in one write, so that a fault leaves memory and registers alone.
 */
#include "cpu/cet.h"
#include "cpu/xsave.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

#define LEGACY_BYTES 512
#define HEADER_BYTES 64
#define AREA_MAX 4096
#define MXCSR_MASK 0xffffu
#define XCOMP_COMPACTED BIT(63)

static const struct {
	unsigned n;
	u32 offset, size; /* offset 0: a supervisor component, which the standard format has not */
} components[] = {{2, 576, 256}, {9, 2688, 8}, {11, 0, 16}, {12, 0, 24}};

u64 xsave_supported(const struct cpu_model *m)
{
	return XSTATE_X87 | XSTATE_SSE | (model_has(m, FEAT_AVX) ? XSTATE_AVX : 0) |
	       (model_has(m, FEAT_PKU) ? XSTATE_PKRU : 0);
}

u64 xsave_supervisor(const struct cpu_model *m)
{
	return has_cet(m) ? XSTATE_CET_U | XSTATE_CET_S : 0;
}

u32 xsave_size(u64 set, bool compacted)
{
	u32 size = LEGACY_BYTES + HEADER_BYTES;

	for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
		if (!(set >> components[k].n & 1))
			continue;
		size = compacted ? size + components[k].size
				 : components[k].offset + components[k].size;
	}
	return size;
}

void xsave_component(unsigned n, u32 *offset, u32 *size, u32 *flags)
{
	for (unsigned k = 0; k < ARRAY_SIZE(components); k++)
		if (components[k].n == n) {
			*offset = components[k].offset;
			*size = components[k].size;
			*flags = components[k].offset == 0;
		}
}

/* Offset of an extended component in an area whose XCOMP_BV is given. */
static u32 offset_of(unsigned n, u64 xcomp)
{
	u32 at = LEGACY_BYTES + HEADER_BYTES;

	for (unsigned k = 0; k < ARRAY_SIZE(components); k++) {
		if (components[k].n == n)
			return xcomp & XCOMP_COMPACTED ? at : components[k].offset;
		if (xcomp >> components[k].n & 1)
			at += components[k].size;
	}
	return at;
}

/* --- legacy region --- */

static unsigned x87_top(const struct vcpu *v)
{
	return v->x87.fsw >> 11 & 7;
}

static void put_x87(const struct vcpu *v, u8 *b, bool wide)
{
	const struct x87 *x = &v->x87;

	store_le16(b, x->fcw);
	store_le16(b + 2, x->fsw);
	b[4] = x->tag_valid;
	b[5] = 0;
	store_le16(b + 6, x->fop);
	store_le64(b + 8, wide ? x->fip : (u32)x->fip | (u64)x->fcs << 32);
	store_le64(b + 16, wide ? x->fdp : (u32)x->fdp | (u64)x->fds << 32);
	for (unsigned k = 0; k < 8; k++) {
		const struct f80_reg *r = &x->st[(x87_top(v) + k) & 7];

		memset(b + 32 + 16 * k, 0, 16);
		store_le64(b + 32 + 16 * k, r->sig);
		store_le16(b + 40 + 16 * k, r->se);
	}
}

/* An exception that is pending and unmasked sets ES and B. */
static void refresh_es(struct x87 *x)
{
	bool es = x->fsw & ~x->fcw & 0x3f;

	x->fsw = (u16)((x->fsw & 0x7f7f) | (es ? 0x8080 : 0));
}

static void get_x87(struct vcpu *v, const u8 *b, bool wide)
{
	struct x87 *x = &v->x87;

	x->fcw = (u16)((load_le16(b) & 0x1f3f) | 0x40);
	x->fsw = load_le16(b + 2);
	x->tag_valid = b[4];
	x->fop = load_le16(b + 6) & 0x7ff;
	x->fip = wide ? load_le64(b + 8) : load_le32(b + 8);
	x->fdp = wide ? load_le64(b + 16) : load_le32(b + 16);
	x->fcs = x->fds = 0; /* deprecated: CPUID.(7,0):EBX[13] */
	for (unsigned k = 0; k < 8; k++) {
		struct f80_reg *r = &x->st[(x87_top(v) + k) & 7];

		r->sig = load_le64(b + 32 + 16 * k);
		r->se = load_le16(b + 40 + 16 * k);
	}
	refresh_es(x);
}

static void init_x87(struct vcpu *v)
{
	memset(&v->x87, 0, sizeof(v->x87));
	v->x87.fcw = 0x37f;
}

static unsigned xmm_count(const struct vcpu *v)
{
	return v->mode == MODE_64 ? 16 : 8;
}

static void put_xmm(const struct vcpu *v, u8 *b)
{
	for (unsigned k = 0; k < xmm_count(v); k++)
		for (unsigned q = 0; q < 2; q++)
			store_le64(b + 160 + 16 * k + 8 * q, v->ymm[k].q[q]);
}

static void get_xmm(struct vcpu *v, const u8 *b)
{
	for (unsigned k = 0; k < xmm_count(v); k++)
		for (unsigned q = 0; q < 2; q++)
			v->ymm[k].q[q] = b ? load_le64(b + 160 + 16 * k + 8 * q) : 0;
}

static void put_mxcsr(const struct vcpu *v, u8 *b)
{
	store_le32(b + 24, v->mxcsr);
	store_le32(b + 28, MXCSR_MASK);
}

static void put_ymm(const struct vcpu *v, u8 *b)
{
	for (unsigned k = 0; k < xmm_count(v); k++)
		for (unsigned q = 0; q < 2; q++)
			store_le64(b + 16 * k + 8 * q, v->ymm[k].q[2 + q]);
}

static void get_ymm(struct vcpu *v, const u8 *b)
{
	for (unsigned k = 0; k < xmm_count(v); k++)
		for (unsigned q = 0; q < 2; q++)
			v->ymm[k].q[2 + q] = b ? load_le64(b + 16 * k + 8 * q) : 0;
}

/* --- common checks --- */

static int area(struct vcpu *v, const struct insn *i, unsigned align, u64 *off)
{
	u64 base = v->mode == MODE_64 && i->seg < SEG_FS ? 0 : v->seg[i->seg].base;

	*off = insn_offset(v, i);
	return (*off + base) & (align - 1) ? raise_gp(v, 0) : 0;
}

static int fx_area(struct vcpu *v, const struct insn *i, u64 *off)
{
	if (v->cr0 & (CR0_EM | CR0_TS))
		return raise_nm(v);
	return area(v, i, 16, off);
}

static int xs_area(struct vcpu *v, const struct insn *i, u64 *off)
{
	if (!(v->cr4 & CR4_OSXSAVE))
		return raise_ud(v);
	if (v->cr0 & CR0_TS)
		return raise_nm(v);
	return area(v, i, 64, off);
}

int x_fxsave(struct vcpu *v, const struct insn *i)
{
	u8 b[LEGACY_BYTES];
	u64 off;
	int r = fx_area(v, i, &off);

	if (r)
		return r;
	/* bytes 464-511 are the software's: read, so that they are written back unchanged */
	r = mem_read_bytes(v, i->seg, off, b, LEGACY_BYTES);
	if (r)
		return r;
	put_x87(v, b, i->prefix & P_REXW);
	put_mxcsr(v, b);
	if (v->cr4 & CR4_OSFXSR)
		put_xmm(v, b);
	return mem_write_bytes(v, i->seg, off, b, LEGACY_BYTES);
}

int x_fxrstor(struct vcpu *v, const struct insn *i)
{
	u8 b[LEGACY_BYTES];
	u64 off;
	int r = fx_area(v, i, &off);

	if (!r)
		r = mem_read_bytes(v, i->seg, off, b, LEGACY_BYTES);
	if (r)
		return r;
	if (v->cr4 & CR4_OSFXSR) {
		if (load_le32(b + 24) & ~MXCSR_MASK)
			return raise_gp(v, 0);
		v->mxcsr = load_le32(b + 24);
		get_xmm(v, b);
	}
	get_x87(v, b, i->prefix & P_REXW);
	return EXEC_NEXT;
}

static u64 enabled(const struct vcpu *v, bool supervisor)
{
	return v->xcr0 | (supervisor ? v->xss : 0);
}

static u64 requested(const struct vcpu *v, bool supervisor)
{
	return ((u32)v->reg[RAX] | v->reg[RDX] << 32) & enabled(v, supervisor);
}

/* CET_U: IA32_U_CET and the SSP of level 3; CET_S: those of levels 0 to 2. */
static void put_cet(const struct vcpu *v, u8 *b, unsigned n)
{
	if (n == 11) {
		store_le64(b, v->cet[CET_U]);
		store_le64(b + 8, v->pl_ssp[3]);
		return;
	}
	for (unsigned k = 0; k < 3; k++)
		store_le64(b + 8 * k, v->pl_ssp[k]);
}

/* What WRMSR would refuse, XRSTORS refuses. */
static bool cet_ok(const struct vcpu *v, const u8 *b, unsigned n)
{
	if (n == 11)
		return cet_controls_ok(v->model, load_le64(b)) &&
		       cet_ssp_ok(v->model, load_le64(b + 8));
	for (unsigned k = 0; k < 3; k++)
		if (!cet_ssp_ok(v->model, load_le64(b + 8 * k)))
			return false;
	return true;
}

static void get_cet(struct vcpu *v, const u8 *b, unsigned n)
{
	if (n == 11) {
		v->cet[CET_U] = b ? load_le64(b) : 0;
		v->pl_ssp[3] = b ? load_le64(b + 8) : 0;
		return;
	}
	for (unsigned k = 0; k < 3; k++)
		v->pl_ssp[k] = b ? load_le64(b + 8 * k) : 0;
}

/* Components that are not in their initial state. */
static u64 in_use(const struct vcpu *v)
{
	u64 used = XSTATE_X87, sse = 0, avx = 0;

	for (unsigned k = 0; k < xmm_count(v); k++) {
		sse |= v->ymm[k].q[0] | v->ymm[k].q[1];
		avx |= v->ymm[k].q[2] | v->ymm[k].q[3];
	}
	used |= v->cet[CET_U] | v->pl_ssp[3] ? XSTATE_CET_U : 0;
	used |= v->pl_ssp[0] | v->pl_ssp[1] | v->pl_ssp[2] ? XSTATE_CET_S : 0;
	return used | (sse ? XSTATE_SSE : 0) | (avx ? XSTATE_AVX : 0) | (v->pkru ? XSTATE_PKRU : 0);
}

/* Writes the chosen components into the image b of the area. */
static void put_components(struct vcpu *v, u8 *b, u64 set, u64 xcomp, bool wide)
{
	if (set & XSTATE_X87)
		put_x87(v, b, wide);
	if (set & XSTATE_SSE)
		put_xmm(v, b);
	if (set & XSTATE_AVX)
		put_ymm(v, b + offset_of(2, xcomp));
	if (set & XSTATE_PKRU)
		store_le64(b + offset_of(9, xcomp), v->pkru);
	for (unsigned n = 11; n <= 12; n++)
		if (set >> n & 1)
			put_cet(v, b + offset_of(n, xcomp), n);
}

static int save(struct vcpu *v, const struct insn *i, bool compacted, bool optimise,
		bool supervisor)
{
	u64 rfbm = requested(v, supervisor), off, bv,
	    xcomp = compacted ? rfbm | XCOMP_COMPACTED : 0;
	u8 b[AREA_MAX];
	u32 size = xsave_size(rfbm, compacted);
	int r = xs_area(v, i, &off);

	if (!r)
		r = mem_read_bytes(v, i->seg, off, b, size);
	if (r)
		return r;
	bv = rfbm & (compacted || optimise ? in_use(v) : ~0ull);
	if (!compacted)
		bv |= load_le64(b + LEGACY_BYTES) & ~rfbm;
	/* MXCSR goes with SSE or AVX; a compacted save writes it with SSE only */
	if (rfbm & (compacted ? XSTATE_SSE : XSTATE_SSE | XSTATE_AVX))
		put_mxcsr(v, b);
	if (compacted && rfbm & XSTATE_SSE && v->mxcsr != 0x1f80)
		bv |= XSTATE_SSE;
	put_components(v, b, rfbm & (compacted || optimise ? bv : ~0ull), xcomp,
		       i->prefix & P_REXW);
	store_le64(b + LEGACY_BYTES, bv);
	if (compacted)
		store_le64(b + LEGACY_BYTES + 8, xcomp);
	return mem_write_bytes(v, i->seg, off, b, size);
}

int x_xsave(struct vcpu *v, const struct insn *i)
{
	return save(v, i, false, (i->modrm >> 3 & 7) == 6, false);
}

int x_xsavec(struct vcpu *v, const struct insn *i)
{
	return save(v, i, true, false, false);
}

int x_xsaves(struct vcpu *v, const struct insn *i)
{
	int r = v->cr4 & CR4_OSXSAVE ? vmx_intercept(v, i, X_XSAVES) : raise_ud(v);

	return r ? r : save(v, i, true, false, true);
}

static bool header_ok(const struct vcpu *v, const u8 *b, bool supervisor)
{
	u64 bv = load_le64(b + LEGACY_BYTES), xcomp = load_le64(b + LEGACY_BYTES + 8), rest = 0;

	for (unsigned k = 16; k < HEADER_BYTES; k += 8)
		rest |= load_le64(b + LEGACY_BYTES + k);
	if (!(xcomp & XCOMP_COMPACTED))
		return !supervisor && !xcomp && !(bv & ~v->xcr0) &&
		       !load_le64(b + LEGACY_BYTES + 16);
	return !rest && !(xcomp & ~XCOMP_COMPACTED & ~enabled(v, supervisor)) && !(bv & ~xcomp);
}

static void get_components(struct vcpu *v, const u8 *b, u64 rfbm, u64 bv, u64 xcomp, bool wide)
{
	if (rfbm & XSTATE_X87) {
		if (bv & XSTATE_X87)
			get_x87(v, b, wide);
		else
			init_x87(v);
	}
	if (rfbm & XSTATE_SSE)
		get_xmm(v, bv & XSTATE_SSE ? b : NULL);
	if (rfbm & XSTATE_AVX)
		get_ymm(v, bv & XSTATE_AVX ? b + offset_of(2, xcomp) : NULL);
	if (rfbm & XSTATE_PKRU)
		pkru_set(v, bv & XSTATE_PKRU ? load_le32(b + offset_of(9, xcomp)) : 0);
	for (unsigned n = 11; n <= 12; n++)
		if (rfbm >> n & 1)
			get_cet(v, bv >> n & 1 ? b + offset_of(n, xcomp) : NULL, n);
}

static int restore(struct vcpu *v, const struct insn *i, bool supervisor)
{
	u64 rfbm = requested(v, supervisor), off, bv, xcomp;
	u8 b[AREA_MAX];
	bool mxcsr;
	int r = xs_area(v, i, &off);

	if (!r)
		r = mem_read_bytes(v, i->seg, off, b, LEGACY_BYTES + HEADER_BYTES);
	if (r)
		return r;
	if (!header_ok(v, b, supervisor))
		return raise_gp(v, 0);
	bv = load_le64(b + LEGACY_BYTES);
	xcomp = load_le64(b + LEGACY_BYTES + 8);
	r = mem_read_bytes(v, i->seg, off, b, xsave_size(xcomp ? xcomp : rfbm, xcomp));
	if (r)
		return r;
	for (unsigned n = 11; n <= 12; n++)
		if (rfbm & bv & BIT(n) && !cet_ok(v, b + offset_of(n, xcomp), n))
			return raise_gp(v, 0);
	mxcsr = rfbm & (xcomp ? XSTATE_SSE : XSTATE_SSE | XSTATE_AVX);
	if (mxcsr && xcomp && !(bv & XSTATE_SSE))
		v->mxcsr = 0x1f80;
	else if (mxcsr) {
		if (load_le32(b + 24) & ~MXCSR_MASK)
			return raise_gp(v, 0);
		v->mxcsr = load_le32(b + 24);
	}
	get_components(v, b, rfbm, bv, xcomp, i->prefix & P_REXW);
	return EXEC_NEXT;
}

int x_xrstor(struct vcpu *v, const struct insn *i)
{
	return restore(v, i, false);
}

int x_xrstors(struct vcpu *v, const struct insn *i)
{
	int r = v->cr4 & CR4_OSXSAVE ? vmx_intercept(v, i, X_XRSTORS) : raise_ud(v);

	return r ? r : restore(v, i, true);
}

int x_ldmxcsr(struct vcpu *v, const struct insn *i)
{
	u64 value;
	int r = mem_read(v, i->seg, insn_offset(v, i), 4, &value);

	if (r)
		return r;
	if (value & ~(u64)MXCSR_MASK)
		return raise_gp(v, 0);
	v->mxcsr = (u32)value;
	return EXEC_NEXT;
}

int x_stmxcsr(struct vcpu *v, const struct insn *i)
{
	return mem_write(v, i->seg, insn_offset(v, i), 4, v->mxcsr);
}
