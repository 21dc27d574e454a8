/*
 * The vCPU's life: reset values, and everything that is derived from architectural state.
 * SDM "Processor State After Reset" (RESET and INIT columns).
 */
#include "cpu/run.h"
#include "cpu/cet.h"
#include "cpu/check.h"
#include "cpu/mem.h"
#include "cpu/state_table.h"
#include "vmx/vmx.h"

bool vcpu_init(struct vcpu *v, unsigned id, const struct cpu_model *model, struct physmem *mem,
	       struct bus *mmio, struct bus *pio, struct log *log, struct cpu_wires *wires,
	       struct block_cache *blocks, const struct decoder *decoder)
{
	memset(v, 0, sizeof(*v));
	v->id = id;
	v->model = model;
	v->mem = mem;
	v->mmio = mmio;
	v->pio = pio;
	v->log = log;
	v->wires = wires;
	v->blocks = blocks;
	v->decoder = decoder;
	v->phys_mask = BIT(model->maxphyaddr) - 1;
	if (!tlb_init(&v->tlb))
		return false;
	blocks_add_vcpu(blocks, v);
	vmx_cpu_init(v);
	vcpu_reset(v, false);
	return true;
}

void vcpu_free(struct vcpu *v)
{
	tlb_free(&v->tlb);
}

static void reset_segments(struct vcpu *v)
{
	for (unsigned s = 0; s < SEGS; s++)
		v->seg[s] = (struct seg){.limit = 0xffff, .ar = AR_P | AR_S | 3};
	v->seg[SEG_CS] = (struct seg){.base = 0xffff0000,
				      .limit = 0xffff,
				      .sel = 0xf000,
				      .ar = AR_P | AR_S | AR_CODE | 3};
	v->seg[SEG_LDTR].ar = AR_P | 2;
	v->seg[SEG_TR].ar = AR_P | 11;
	v->gdtr = v->idtr = (struct dtr){.base = 0, .limit = 0xffff};
}

static void reset_registers(struct vcpu *v)
{
	memset(v->reg, 0, sizeof(v->reg));
	v->reg[RDX] = v->model->signature;
	v->rip = 0xfff0;
	flags_set(v, RFLAGS_FIXED);
	reset_segments(v);
	v->cr2 = v->cr3 = v->cr4 = 0;
	v->efer = 0;
	memset(v->dr, 0, sizeof(v->dr));
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
	v->cpl = 0;
	v->shadow = 0;
	v->pending_dbg = 0;
	v->exc.valid = v->inject.valid = false;
	v->monitor_armed = false;
	v->nmi_blocked = v->nmi_pending = v->smi_pending = v->in_smm = false;
	v->init_pending = v->sipi_pending = false;
	v->debugctl = 0;
	memset(v->cet, 0, sizeof(v->cet));
	memset(v->pl_ssp, 0, sizeof(v->pl_ssp));
	v->ssp = v->int_ssp_table = 0;
}

/* What an INIT leaves alone: caches, MTRRs, x87 and vector state, machine-check banks, the TSC. */
static void reset_power_up(struct vcpu *v)
{
	memset(v->ymm, 0, sizeof(v->ymm));
	memset(&v->x87, 0, sizeof(v->x87));
	v->x87.fcw = 0x40;
	v->x87.tag_valid = 0xff;
	v->mxcsr = 0x1f80;
	v->xcr0 = 1;
	v->pkru = 0;
	v->pkrs = 0;
	v->xss = 0;
	v->star = v->lstar = v->cstar = v->fmask = v->kernel_gs_base = v->tsc_aux = 0;
	v->pat = 0x0007040600070406ull;
	v->misc_enable = 0x1 | BIT(11) | BIT(12);
	v->mtrr_def = 0;
	memset(v->mtrr_fixed, 0, sizeof(v->mtrr_fixed));
	memset(v->mtrr_base, 0, sizeof(v->mtrr_base));
	memset(v->mtrr_mask, 0, sizeof(v->mtrr_mask));
	memset(v->mc_bank, 0, sizeof(v->mc_bank));
	v->mcg_status = v->mcg_ctl = 0;
	v->smbase = 0x30000;
	v->spec_ctrl = v->umwait_control = 0;
	v->tsc_offset_host = 0;
	v->tsc_adjust = 0;
	pmu_reset(v);
}

void vcpu_reset(struct vcpu *v, bool init)
{
	u64 keep = v->cr0 & (CR0_CD | CR0_NW);

	reset_registers(v);
	v->cr0 = CR0_ET | (init ? keep : CR0_CD | CR0_NW);
	if (!init)
		reset_power_up(v);
	v->activity = init && v->id ? ACT_WAIT_SIPI : ACT_ACTIVE;
	if (!init && v->id)
		v->activity = ACT_WAIT_SIPI;
	vmx_reset(v, init);
	tlb_flush_all(&v->tlb);
	vcpu_recompute(v);
	v->recheck = true;
}

static u8 mode_now(const struct vcpu *v)
{
	if (!(v->cr0 & CR0_PE))
		return MODE_REAL;
	if (v->rflags & RFLAGS_VM)
		return MODE_VM86;
	if (!(v->efer & EFER_LMA))
		return MODE_PROT;
	return v->seg[SEG_CS].ar & AR_L ? MODE_64 : MODE_COMPAT;
}

static bool flat_data(const struct seg *s)
{
	return s->base == 0 && s->limit == 0xffffffff && !(s->ar & AR_UNUSABLE) &&
	       !(s->ar & AR_CODE) && (s->ar & (AR_RW | AR_DC)) == AR_RW;
}

/* Fast handlers add no segment bases and check no limits. */
static bool flat32(const struct vcpu *v)
{
	const struct seg *cs = &v->seg[SEG_CS];

	return mode_protected(v) && cs->base == 0 && cs->limit == 0xffffffff && cs->ar & AR_DB &&
	       flat_data(&v->seg[SEG_DS]) && flat_data(&v->seg[SEG_ES]) &&
	       flat_data(&v->seg[SEG_SS]);
}

static u16 mode_key_now(const struct vcpu *v)
{
	if (v->mode == MODE_64)
		return KEY_BITS64 | KEY_FLAT;
	if (!(v->seg[SEG_CS].ar & AR_DB) || !mode_protected(v))
		return v->seg[SEG_CS].ar & AR_DB && v->mode == MODE_REAL ? KEY_BITS32 : KEY_BITS16;
	return flat32(v) ? KEY_BITS32 | KEY_FLAT : KEY_BITS32;
}

static void recompute_walk(struct vcpu *v)
{
	struct walk_env *w = &v->walk;

	w->mem = v->mem;
	w->tlb = &v->tlb;
	w->cr0 = v->cr0;
	w->cr3 = v->cr3;
	w->cr4 = v->cr4;
	w->efer = v->efer;
	memcpy(w->pdpte, v->pdpte, sizeof(w->pdpte));
	w->eptp = v->vmx.eptp;
	w->apic_access = vmx_apic_page(v);
	w->reserved_phys = (BIT(52) - 1) & ~v->phys_mask;
	w->pkru = v->pkru;
	w->pkrs = (u32)v->pkrs;
	w->nx = v->efer & EFER_NXE && v->cr4 & CR4_PAE;
	w->page1g = model_has(v->model, FEAT_PDPE1GB);
	w->ept_tag = 0;
	w->ept_mode = 0;
	w->hlat = false;
	if (unlikely(w->eptp))
		vmx_walk_env(v, w);
}

void vcpu_recompute_cpl(struct vcpu *v)
{
	v->mode = mode_now(v);
	v->mode_key =
		mode_key_now(v) | cet_recompute(v) | (v->pmu.count_branches ? KEY_BRANCHES : 0);
	v->lin_mask = v->mode == MODE_64 ? ~0ull : 0xffffffff;
	v->segbase[SEG_FS] = v->seg[SEG_FS].base;
	v->segbase[SEG_GS] = v->seg[SEG_GS].base;
	v->align_check = v->cpl == 3 && v->cr0 & CR0_AM && v->rflags & RFLAGS_AC;
	v->watch = v->dr7 & 0xff;
	v->step_mode = v->rflags & RFLAGS_TF || v->watch || v->align_check || v->debugger ||
		       log_on(v->log, LOG_insn);
	v->attr_trap = attr_trap_now(v);
	v->table = tlb_table(&v->tlb, mem_way(v));
	if (unlikely(v->pmu.by_cpl))
		pmu_update(v);
}

/* What the presence of a TLB entry depends on, beyond the translation. */
static u32 tlb_rights(const struct vcpu *v)
{
	const u64 cr4 = CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS;

	return (u32)((v->cr0 & (CR0_PG | CR0_WP)) | (v->cr4 & cr4) | (v->efer & EFER_NXE ? 1 : 0));
}

static u64 tlb_keys(const struct vcpu *v)
{
	return (v->cr4 & CR4_PKE ? v->pkru : 0) | (v->cr4 & CR4_PKS ? v->pkrs << 32 : 0);
}

void vcpu_recompute(struct vcpu *v)
{
	u16 pcid = v->cr4 & CR4_PCIDE ? v->cr3 & 0xfff : 0;

	v->width_laddr = v->cr4 & CR4_LA57 ? 57 : 48;
	recompute_walk(v);
	tlb_switch(&v->tlb, v->vmx.vpid, v->walk.ept_tag, pcid, tlb_rights(v), tlb_keys(v));
	vcpu_recompute_cpl(v);
}

u64 vcpu_hash(const struct vcpu *v, u64 seed)
{
	seed = state_hash(vcpu_state, v, seed);
	return hash_bytes(seed, &(u64){flags_arith(v)}, 8);
}

static void dump_seg(FILE *out, const char *name, const struct seg *s)
{
	fprintf(out, "%-4s %04x base %016llx limit %08x ar %05x\n", name, s->sel,
		(unsigned long long)s->base, s->limit, s->ar);
}

void vcpu_print_events(const struct vcpu *v, FILE *out)
{
	u32 n = v->events_at < EVENT_RING ? v->events_at : EVENT_RING;

	if (n)
		fprintf(out, "CPU %u: the last %u exceptions and interrupts delivered\n", v->id, n);
	for (u32 k = v->events_at - n; k != v->events_at; k++) {
		const struct event_record *e = &v->events[k % EVENT_RING];

		fprintf(out,
			"  %12llu  vector %02x type %u error %x cr2 %016llx at %04x:%016llx%s\n",
			(unsigned long long)e->icount, e->vector, e->type, e->error,
			(unsigned long long)e->cr2, e->cs, (unsigned long long)e->rip,
			e->non_root ? " (VMX non-root)" : "");
	}
}

void vcpu_dump(const struct vcpu *v, FILE *out)
{
	static const char *const seg_name[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
	static const char *const reg_name[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
					       "RSI", "RDI", "R8",  "R9",  "R10", "R11",
					       "R12", "R13", "R14", "R15"};

	fprintf(out, "CPU %u  RIP %016llx  RFLAGS %08llx  CPL %u  %s\n", v->id,
		(unsigned long long)v->rip, (unsigned long long)flags_get(v), v->cpl,
		v->vmx.non_root ? "VMX non-root"
		: v->vmx.vmxon	? "VMX root"
				: "");
	for (unsigned r = 0; r < 16; r++)
		fprintf(out, "%-3s %016llx%s", reg_name[r], (unsigned long long)v->reg[r],
			r % 4 == 3 ? "\n" : "  ");
	for (unsigned s = 0; s < SEGS; s++)
		dump_seg(out, seg_name[s], &v->seg[s]);
	fprintf(out, "GDTR %016llx %04x  IDTR %016llx %04x\n", (unsigned long long)v->gdtr.base,
		v->gdtr.limit, (unsigned long long)v->idtr.base, v->idtr.limit);
	fprintf(out, "CR0 %08llx CR2 %016llx CR3 %016llx CR4 %08llx EFER %04llx\n",
		(unsigned long long)v->cr0, (unsigned long long)v->cr2, (unsigned long long)v->cr3,
		(unsigned long long)v->cr4, (unsigned long long)v->efer);
	if (v->cr4 & CR4_CET)
		fprintf(out, "SSP %016llx U_CET %016llx S_CET %016llx\n",
			(unsigned long long)v->ssp, (unsigned long long)v->cet[CET_U],
			(unsigned long long)v->cet[CET_S]);
}
