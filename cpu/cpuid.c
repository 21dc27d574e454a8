/*
 * CPUID. Feature bits come from features.def alone: a bit is shown only if its row is built and the
 * model has it. SDM volume 2, "CPUID - CPU Identification".
 */
#include "cpu/cpu.h"
#include "cpu/xsave.h"

enum { EAX, EBX, ECX, EDX };

static const struct {
	u32 leaf, sub;
	u8 reg, bit;
	enum feature id;
} bits_table[] = {
#define FEAT(id, name, leaf, sub, reg, bit, models) {leaf, sub, reg, bit, FEAT_##id},
#include "cpu/features.def"
};

bool cpu_has(const struct vcpu *v, enum feature f)
{
	return model_has(v->model, f);
}

static void feature_bits(const struct vcpu *v, u32 leaf, u32 sub, u32 out[4])
{
	for (unsigned k = 0; k < ARRAY_SIZE(bits_table); k++)
		if (bits_table[k].leaf == leaf && bits_table[k].sub == sub &&
		    model_has(v->model, bits_table[k].id))
			out[bits_table[k].reg] |= 1u << bits_table[k].bit;
}

/* The last subleaf of a leaf that has bits of this model. */
static u32 last_subleaf(const struct vcpu *v, u32 leaf)
{
	u32 last = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(bits_table); k++)
		if (bits_table[k].leaf == leaf && bits_table[k].sub > last &&
		    model_has(v->model, bits_table[k].id))
			last = bits_table[k].sub;
	return last;
}

static void put_text(u32 out[4], const char *s)
{
	for (unsigned k = 0; k < 4; k++)
		out[k] = load_le32(s + 4 * k);
}

static void leaf_1(const struct vcpu *v, u32 out[4])
{
	u64 base = 0;

	out[EAX] = v->model->signature;
	out[EBX] = v->id << 24 | v->model->ncpus << 16 | 8 << 8;
	if (v->model->ncpus > 1)
		out[EDX] |= 1u << 28; /* HTT: more than one APIC ID in the package */
	if (v->cr4 & CR4_OSXSAVE)
		out[ECX] |= 1u << 27;
	/* the APIC bit follows its global enable */
	if (v->wires->apic_read(v->wires->owner, 0x1b, &base) && !(base & 0x800))
		out[EDX] &= ~(1u << 9);
}

static void leaf_4(const struct vcpu *v, u32 sub, u32 out[4])
{
	static const struct {
		u32 type, level, sets, ways;
	} cache[] = {{1, 1, 64, 8}, {2, 1, 64, 8}, {3, 2, 1024, 16}, {3, 3, 16384, 16}};
	u32 sharing = sub == 3 ? v->model->ncpus - 1 : 0;

	if (sub >= ARRAY_SIZE(cache))
		return;
	out[EAX] = cache[sub].type | cache[sub].level << 5 | 1u << 8 | sharing << 14 |
		   (v->model->ncpus - 1) << 26;
	out[EBX] = 63 | (cache[sub].ways - 1) << 22;
	out[ECX] = cache[sub].sets - 1;
}

static unsigned id_bits(const struct vcpu *v)
{
	unsigned n = 0;

	while ((1u << n) < v->model->ncpus)
		n++;
	return n;
}

/* One thread per core, all cores in one package. */
static void leaf_b(const struct vcpu *v, u32 sub, u32 out[4])
{
	out[ECX] = sub & 0xff;
	out[EDX] = v->id;
	if (sub == 0) {
		out[EBX] = 1;
		out[ECX] |= 1 << 8;
	} else if (sub == 1) {
		out[EAX] = id_bits(v);
		out[EBX] = v->model->ncpus;
		out[ECX] |= 2 << 8;
	}
}

static void leaf_d(const struct vcpu *v, u32 sub, u32 out[4])
{
	u64 all = xsave_supported(v->model);

	if (!model_has(v->model, FEAT_XSAVE))
		return;
	if (sub == 0) {
		out[EAX] = (u32)all;
		out[EBX] = xsave_size(v->xcr0, false);
		out[ECX] = xsave_size(all, false);
		out[EDX] = (u32)(all >> 32);
	} else if (sub == 1) {
		out[EBX] = xsave_size(v->xcr0 | v->xss, true);
		out[ECX] = (u32)xsave_supervisor(v->model);
	} else if (sub < 63 && (all | xsave_supervisor(v->model)) >> sub & 1) {
		xsave_component(sub, &out[EBX], &out[EAX], &out[ECX]);
	}
}

static void basic(const struct vcpu *v, u32 leaf, u32 sub, u32 out[4])
{
	switch (leaf) {
	case 0:
		out[EAX] = 0x16;
		out[EBX] = load_le32("Genu");
		out[EDX] = load_le32("ineI");
		out[ECX] = load_le32("ntel");
		break;
	case 1:
		leaf_1(v, out);
		break;
	case 2:
		out[EAX] = 0x00feff01;
		out[EDX] = 0;
		break;
	case 4:
		leaf_4(v, sub, out);
		break;
	case 5:
		if (model_has(v->model, FEAT_MONITOR)) {
			out[EAX] = out[EBX] = 64;
			out[ECX] = 3;
		}
		break;
	case 6:
		out[EAX] = 1u << 2; /* the APIC timer always runs */
		break;
	case 7:
		if (sub == 0)
			out[EAX] = last_subleaf(v, 7);
		if (v->cr4 & CR4_PKE && sub == 0)
			out[ECX] |= 1u << 4; /* OSPKE */
		break;
	case 0xa:
		if (model_has(v->model, FEAT_PMU))
			pmu_cpuid(out);
		break;
	case 0xb:
		leaf_b(v, sub, out);
		break;
	case 0xd:
		leaf_d(v, sub, out);
		break;
	case 0x15:
		out[EAX] = 1;
		out[EBX] = CRYSTAL_TICKS;
		out[ECX] = CORE_CRYSTAL_HZ;
		break;
	case 0x16:
		out[EAX] = out[EBX] = TICKS_PER_NS * 1000;
		out[ECX] = 100;
		break;
	default:
		break;
	}
}

static void extended(const struct vcpu *v, u32 leaf, u32 out[4])
{
	static const char brand[48] = "gigogne virtual CPU @ 2.00GHz";

	switch (leaf) {
	case 0x80000000:
		out[EAX] = 0x80000008;
		break;
	case 0x80000001:
		/* SYSCALL is shown in 64-bit mode only */
		if (v->mode != MODE_64)
			out[EDX] &= ~(1u << 11);
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		put_text(out, brand + 16 * (leaf - 0x80000002));
		break;
	case 0x80000006:
		out[ECX] = 64 | 6 << 12 | 1024 << 16;
		break;
	case 0x80000008:
		out[EAX] = v->model->maxphyaddr | (model_has(v->model, FEAT_LA57) ? 57 : 48) << 8;
		break;
	default:
		break;
	}
}

/* Leaves beyond the highest basic one answer as the highest basic one. */
void cpuid_query(const struct vcpu *v, u32 leaf, u32 sub, u32 out[4])
{
	memset(out, 0, 4 * sizeof(out[0]));
	if (leaf >= 0x80000000 && leaf <= 0x80000008) {
		feature_bits(v, leaf, 0, out);
		extended(v, leaf, out);
		return;
	}
	if (leaf > 0x16)
		leaf = 0x16;
	feature_bits(v, leaf, leaf == 7 || leaf == 0xd ? sub : 0, out);
	basic(v, leaf, sub, out);
}
