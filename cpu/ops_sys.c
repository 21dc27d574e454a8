/*
 * CPUID, HLT, time, MSR access, cache control, random numbers, protection keys,
 * FS/GS bases. XSAVE and friends are in xsave.c.
 */
#include "cpu/cpu.h"
#include "cpu/insn_protos.h"
#include "vmx/vmx.h"

int x_cpuid(struct vcpu *v, const struct insn *i)
{
	u32 out[4];
	int r = vmx_intercept(v, i, X_CPUID);

	if (r)
		return r;
	vcpu_charge(v, SERIAL_TICKS);
	cpuid_query(v, (u32)v->reg[RAX], (u32)v->reg[RCX], out);
	v->reg[RAX] = out[0];
	v->reg[RBX] = out[1];
	v->reg[RCX] = out[2];
	v->reg[RDX] = out[3];
	return EXEC_NEXT;
}

int x_hlt(struct vcpu *v, const struct insn *i)
{
	int r = vmx_intercept(v, i, X_HLT);

	if (r)
		return r;
	v->activity = ACT_HLT;
	v->pmu.halts++;
	v->recheck = true;
	return EXEC_STOP;
}

static int tsc_allowed(struct vcpu *v)
{
	return v->cr4 & CR4_TSD && v->cpl ? raise_gp(v, 0) : 0;
}

static void put_edx_eax(struct vcpu *v, u64 value)
{
	v->reg[RAX] = (u32)value;
	v->reg[RDX] = value >> 32;
}

int x_rdtsc(struct vcpu *v, const struct insn *i)
{
	int r = tsc_allowed(v);

	if (!r)
		r = vmx_intercept(v, i, X_RDTSC);
	if (!r)
		put_edx_eax(v, vmx_tsc(v));
	return r;
}

int x_rdtscp(struct vcpu *v, const struct insn *i)
{
	int r = v->vmx.non_root && !vmx_on(&v->vmx, PROC2_ENABLE_RDTSCP) ? raise_ud(v)
									 : tsc_allowed(v);

	if (!r)
		r = vmx_intercept(v, i, X_RDTSCP);
	if (r)
		return r;
	put_edx_eax(v, vmx_tsc(v));
	v->reg[RCX] = (u32)v->tsc_aux;
	return EXEC_NEXT;
}

int x_rdpid(struct vcpu *v, const struct insn *i)
{
	int r = vmx_intercept(v, i, X_RDPID);

	if (r)
		return r;
	reg_write(v, i, i->rm, v->mode == MODE_64 ? 8 : 4, (u32)v->tsc_aux);
	return EXEC_NEXT;
}

int x_rdpmc(struct vcpu *v, const struct insn *i)
{
	u64 value;
	int r;

	if (v->cpl && !(v->cr4 & CR4_PCE) && v->cr0 & CR0_PE)
		return raise_gp(v, 0);
	r = vmx_intercept(v, i, X_RDPMC);
	if (r)
		return r;
	if (!pmu_rdpmc(v, (u32)v->reg[RCX], &value))
		return raise_gp(v, 0);
	put_edx_eax(v, value);
	return EXEC_NEXT;
}

/* As RDMSR and WRMSR do it once no VM exit has replaced them. */
static int read_msr(struct vcpu *v, u32 msr, u64 *value)
{
	if (!(v->vmx.non_root && vmx_virtual_rdmsr(v, msr, value)) && !msr_read(v, msr, value))
		return raise_gp(v, 0);
	if (v->vmx.non_root && msr == 0x10)
		*value = vmx_tsc(v);
	return EXEC_NEXT;
}

static int write_msr(struct vcpu *v, u32 msr, u64 value)
{
	switch (v->vmx.non_root ? vmx_virtual_wrmsr(v, msr, value) : VMX_MSR_NORMAL) {
	case VMX_MSR_DONE:
		return EXEC_LEAVE;
	case VMX_MSR_GP:
		return raise_gp(v, 0);
	default:
		break;
	}
	return msr_write(v, msr, value) ? EXEC_NEXT : raise_gp(v, 0);
}

int x_rdmsr(struct vcpu *v, const struct insn *i)
{
	u32 msr = (u32)v->reg[RCX];
	u64 value = 0;
	int r = v->vmx.non_root ? vmx_intercept_rdmsr(v, i, msr) : 0;

	if (!r)
		r = read_msr(v, msr, &value);
	if (!r)
		put_edx_eax(v, value);
	return r;
}

int x_wrmsr(struct vcpu *v, const struct insn *i)
{
	u32 msr = (u32)v->reg[RCX];
	u64 value = (u32)v->reg[RAX] | v->reg[RDX] << 32;
	int r = v->vmx.non_root ? vmx_intercept_wrmsr(v, i, msr) : 0;

	return r ? r : write_msr(v, msr, value);
}

/* One entry of the tables at RSI (MSR numbers) and RDI (values). */
static int list_entry(struct vcpu *v, const struct insn *i, unsigned n, bool write)
{
	u64 msr, value = 0;
	int r = mem_read(v, SEG_DS, v->reg[RSI] + 8 * n, 8, &msr);

	if (!r && msr >> 32)
		r = raise_gp(v, 0);
	if (!r && write)
		r = mem_read(v, SEG_DS, v->reg[RDI] + 8 * n, 8, &value);
	if (!r && v->vmx.non_root)
		r = vmx_intercept_msr_list(v, i, (u32)msr, write, value);
	if (r)
		return r;
	if (write)
		return write_msr(v, (u32)msr, value);
	r = read_msr(v, (u32)msr, &value);
	return r ? r : mem_write(v, SEG_DS, v->reg[RDI] + 8 * n, 8, value);
}

/* RCX says which entries are still to be done; events are looked at between them. */
static int msr_list(struct vcpu *v, const struct insn *i, bool write)
{
	int r = vmx_enabled(v, X_MSR_LIST) ? 0 : raise_ud(v);

	if (!r && (v->reg[RSI] | v->reg[RDI]) & 7)
		r = raise_gp(v, 0);
	while (!r && v->reg[RCX]) {
		r = list_entry(v, i, (unsigned)__builtin_ctzll(v->reg[RCX]), write);
		if (r > EXEC_LEAVE)
			return r;
		v->reg[RCX] &= v->reg[RCX] - 1;
		if (v->reg[RCX] && (r || v->recheck))
			return EXEC_RESTART;
	}
	return r;
}

int x_rdmsrlist(struct vcpu *v, const struct insn *i)
{
	return msr_list(v, i, false);
}

int x_wrmsrlist(struct vcpu *v, const struct insn *i)
{
	return msr_list(v, i, true);
}

/* Caches are not modelled: memory is always what the last store made it. */
int x_invd(struct vcpu *v, const struct insn *i)
{
	return vmx_intercept(v, i, X_INVD);
}

int x_wbinvd(struct vcpu *v, const struct insn *i)
{
	return vmx_intercept(v, i, X_WBINVD);
}

int x_clflush(struct vcpu *v, const struct insn *i)
{
	u64 ignored;

	return mem_read(v, i->seg, insn_offset(v, i), 1, &ignored);
}

int x_serialize(struct vcpu *v, const struct insn *i)
{
	(void)v;
	(void)i;
	return EXEC_NEXT;
}

int x_clac(struct vcpu *v, const struct insn *i)
{
	if (i->modrm == 0xcb)
		v->rflags |= RFLAGS_AC;
	else
		v->rflags &= ~RFLAGS_AC;
	vcpu_recompute_cpl(v);
	return EXEC_NEXT;
}

int x_rdpkru(struct vcpu *v, const struct insn *i)
{
	(void)i;
	if (!(v->cr4 & CR4_PKE))
		return raise_ud(v);
	if ((u32)v->reg[RCX])
		return raise_gp(v, 0);
	put_edx_eax(v, v->pkru);
	return EXEC_NEXT;
}

int x_wrpkru(struct vcpu *v, const struct insn *i)
{
	(void)i;
	if (!(v->cr4 & CR4_PKE))
		return raise_ud(v);
	if ((u32)v->reg[RCX] || (u32)v->reg[RDX])
		return raise_gp(v, 0);
	pkru_set(v, (u32)v->reg[RAX]);
	return EXEC_NEXT;
}

void pkru_set(struct vcpu *v, u32 value)
{
	if (v->pkru == value)
		return;
	v->pkru = value;
	vcpu_recompute(v);
}

int x_fsgsbase(struct vcpu *v, const struct insn *i)
{
	unsigned n = i->modrm >> 3 & 7, seg = n & 1 ? SEG_GS : SEG_FS;
	unsigned size = i->prefix & P_REXW ? 8 : 4;
	u64 value;

	if (!(v->cr4 & CR4_FSGSBASE))
		return raise_ud(v);
	if (n < 2) {
		reg_write(v, i, i->rm, size, v->seg[seg].base);
		return EXEC_NEXT;
	}
	value = reg_read(v, i, i->rm, size);
	if (!is_canonical(value, laddr_width_max(v)))
		return raise_gp(v, 0);
	v->seg[seg].base = v->segbase[seg] = value;
	return EXEC_NEXT;
}

/* CF = 1: a value was available; it always is. */
int x_rdrand(struct vcpu *v, const struct insn *i)
{
	bool seed = (i->modrm >> 3 & 7) == 7;
	int r = vmx_intercept(v, i, seed ? X_RDSEED : X_RDRAND);

	if (r)
		return r;
	reg_write(v, i, i->rm, i->opsize, v->wires->random(v->wires->owner));
	flags_set_arith(v, RFLAGS_CF);
	return EXEC_NEXT;
}

/* CR4.SMXE cannot be set: GETSEC is undefined everywhere. */
int x_getsec(struct vcpu *v, const struct insn *i)
{
	(void)i;
	return raise_ud(v);
}
