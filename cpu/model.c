/*
 * CPU models and the argument of -cpu: NAME, then +feature, -feature or feature=on|off, where
 * feature is a CPUID bit (features.def), `vmx`, or one VMX control (`vmx-ept=off`). What depends on
 * a missing feature goes with it; asking for it by name all the same is an error.
 *
 * Left out: names of processors on the market; only what is built is worth a name.
 */
#include <string.h>

#include "base/nearest.h"
#include "cpu/model.h"
#include "vmx/vmx.h"

static const struct {
	const char *name;
	char letter;
} features[FEATURES] = {
#define LETTER_B 'B'
#define LETTER_M 'M'
#define FEAT(id, qemu, leaf, sub, reg, bit, models) [FEAT_##id] = {qemu, LETTER_##models},
#include "cpu/features.def"
};

static const struct {
	const char *name, *letters;
	u32 signature;
	u8 maxphyaddr;
	const char *text;
} models[] = {
#define MODEL(name, letters, signature, maxphyaddr, text)                                          \
	{name, letters, signature, maxphyaddr, text},
#include "cpu/models.def"
};

static const struct {
	u16 feature, other;
} needs[] = {
#define NEEDS(feature, other) {FEAT_##feature, FEAT_##other},
#include "cpu/models.def"
};

/* Single bits of struct vmx_model_mask. */
static const struct vmx_switch {
	const char *name;
	size_t word; /* offset */
	u64 bit;
} switches[] = {
#define VMXF(name, c)                                                                              \
	{name, offsetof(struct vmx_model_mask, control) + ((c) >> 6) * sizeof(u64), VMX_MASK(c)},
#define VMXC(name, member, bit) {name, offsetof(struct vmx_model_mask, member), bit},
#include "cpu/models.def"
};

/* What is there only when asked for. */
static const enum vmx_control off_by_default[] = {
#define VMXO(control) control,
#include "cpu/models.def"
};

static const struct {
	enum vmx_control control, other;
} control_needs[] = {
#define VMXN(control, other) {control, other},
#include "cpu/models.def"
};

struct parse {
	struct cpu_model *m;
	struct vmx_model_mask *vmx;
	struct cpu_model asked;			/* features named with + or =on */
	bool switched_on[ARRAY_SIZE(switches)]; /* the same of VMX */
	char *err;
	size_t errlen;
};

const char *cpu_feature_name(enum feature f)
{
	return features[f].name;
}

static void feature_set(struct cpu_model *m, unsigned f, bool on)
{
	u64 bit = 1ull << (f % 64);

	m->features[f / 64] = on ? m->features[f / 64] | bit : m->features[f / 64] & ~bit;
}

static bool same(const char *name, const char *s, size_t len)
{
	return name && strlen(name) == len && !strncmp(name, s, len);
}

static u64 *switch_word(struct vmx_model_mask *m, const struct vmx_switch *s)
{
	return (u64 *)(void *)((u8 *)m + s->word);
}

static bool unknown_feature(struct parse *p, const char *s, size_t len)
{
	struct nearest n;

	nearest_init(&n, s, len);
	for (unsigned f = 0; f < FEATURES; f++)
		if (features[f].name)
			nearest_offer(&n, features[f].name);
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		nearest_offer(&n, switches[i].name);
	snprintf(p->err, p->errlen, "cpu feature '%.*s' is not built; the nearest is '%s'",
		 (int)len, s, n.best);
	return false;
}

static bool switch_feature(struct parse *p, const char *s, size_t len, bool on)
{
	for (unsigned f = 0; f < FEATURES; f++)
		if (same(features[f].name, s, len)) {
			feature_set(p->m, f, on);
			feature_set(&p->asked, f, on);
			return true;
		}
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (same(switches[i].name, s, len)) {
			u64 *word = switch_word(p->vmx, &switches[i]), bit = switches[i].bit;

			*word = on ? *word | bit : *word & ~bit;
			p->switched_on[i] = on;
			return true;
		}
	return unknown_feature(p, s, len);
}

#define PHYS_BITS "phys-bits"

/* MAXPHYADDR, 32 to 52. */
static bool set_phys_bits(struct parse *p, const char *s, size_t len)
{
	unsigned bits = 0;

	for (size_t k = 0; k < len && k < 3; k++)
		bits = s[k] >= '0' && s[k] <= '9' ? bits * 10 + (unsigned)(s[k] - '0') : 1000;
	if (len > 2 || bits < 32 || bits > 52) {
		snprintf(p->err, p->errlen, "cpu property '" PHYS_BITS "=%.*s': give 32 to 52",
			 (int)len, s);
		return false;
	}
	p->m->maxphyaddr = (u8)bits;
	return true;
}

/* One item after the name: +f, -f, f, f=on, f=off, phys-bits=N. */
static bool parse_item(struct parse *p, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);
	size_t name = eq ? (size_t)(eq - s) : len;
	bool sign = *s == '+' || *s == '-', on = *s != '-';

	if (eq && same(PHYS_BITS, s, name))
		return set_phys_bits(p, eq + 1, len - name - 1);
	if (sign && !eq)
		return switch_feature(p, s + 1, len - 1, on);
	if (eq && !sign) {
		if (same("on", eq + 1, len - name - 1))
			return switch_feature(p, s, name, true);
		if (same("off", eq + 1, len - name - 1))
			return switch_feature(p, s, name, false);
	}
	if (!eq)
		return switch_feature(p, s, name, true);
	snprintf(p->err, p->errlen, "cpu feature '%.*s': give +f, -f, f=on or f=off", (int)len, s);
	return false;
}

static bool find_model(struct parse *p, const char *s, size_t len)
{
	struct nearest n;

	nearest_init(&n, s, len);
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		nearest_offer(&n, models[i].name);
		if (!same(models[i].name, s, len))
			continue;
		p->m->name = models[i].name;
		p->m->signature = models[i].signature;
		p->m->maxphyaddr = models[i].maxphyaddr;
		for (unsigned f = 0; f < FEATURES; f++)
			if (features[f].name && strchr(models[i].letters, features[f].letter))
				feature_set(p->m, f, true);
		return true;
	}
	snprintf(p->err, p->errlen, "no cpu model '%.*s'; the nearest is '%s'", (int)len, s,
		 n.best);
	return false;
}

/* The name of a control, if -cpu asked for it; else NULL. */
static const char *asked_control(const struct parse *p, enum vmx_control c)
{
	size_t word = offsetof(struct vmx_model_mask, control) + (c >> 6) * sizeof(u64);

	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (switches[i].word == word && switches[i].bit == VMX_MASK(c) && p->switched_on[i])
			return switches[i].name;
	return NULL;
}

static const char *control_name(enum vmx_control c)
{
	size_t word = offsetof(struct vmx_model_mask, control) + (c >> 6) * sizeof(u64);

	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (switches[i].word == word && switches[i].bit == VMX_MASK(c))
			return switches[i].name;
	return "?";
}

static bool refuse_control(struct parse *p, const char *name, const char *other)
{
	snprintf(p->err, p->errlen, "cpu feature '%s' needs '%s': no processor has the one alone",
		 name, other);
	return false;
}

/* The same of VMX controls (control_rules.def). */
static bool drop_controls(struct parse *p)
{
	for (bool again = true; again;) {
		again = false;
		for (unsigned i = 0; i < ARRAY_SIZE(control_needs); i++) {
			enum vmx_control other = control_needs[i].other;
			enum vmx_control c = control_needs[i].control;
			u64 *word = &p->vmx->control[c >> 6];

			if (!(*word & VMX_MASK(c)) ||
			    (p->vmx->control[other >> 6] & VMX_MASK(other)))
				continue;
			if (asked_control(p, c))
				return refuse_control(p, asked_control(p, c), control_name(other));
			*word &= ~VMX_MASK(c);
			again = true;
		}
	}
	return true;
}

static bool vmx_is_there(struct parse *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (p->switched_on[i] && !model_has(p->m, FEAT_VMX))
			return refuse_control(p, switches[i].name, "vmx");
	return true;
}

/* Takes away what depends on something absent, until nothing changes. */
static bool drop_dependants(struct parse *p)
{
	for (bool again = true; again;) {
		again = false;
		for (unsigned i = 0; i < ARRAY_SIZE(needs); i++) {
			unsigned f = needs[i].feature, other = needs[i].other;

			if (!model_has(p->m, f) || model_has(p->m, other))
				continue;
			if (model_has(&p->asked, f)) {
				snprintf(p->err, p->errlen, "cpu feature '%s' needs '%s'",
					 features[f].name, features[other].name);
				return false;
			}
			feature_set(p->m, f, false);
			again = true;
		}
	}
	return drop_controls(p) && vmx_is_there(p);
}

static void standard_mask(struct vmx_model_mask *vmx)
{
	memset(vmx, 0xff, sizeof(*vmx));
	for (unsigned i = 0; i < ARRAY_SIZE(off_by_default); i++)
		vmx->control[off_by_default[i] >> 6] &= ~VMX_MASK(off_by_default[i]);
#define VMXOC(member, bits) vmx->member &= ~(u64)(bits);
#include "cpu/models.def"
}

bool cpu_model_parse(struct cpu_model *m, struct vmx_model_mask *vmx, const char *arg, char *err,
		     size_t errlen)
{
	struct parse p = {.m = m, .vmx = vmx, .err = err, .errlen = errlen};
	size_t len = strcspn(arg, ",");

	memset(m, 0, sizeof(*m));
	standard_mask(vmx);
	m->vmx_mask = vmx;
	m->ncpus = 1;
	if (!find_model(&p, arg, len))
		return false;
	for (const char *s = arg + len; *s; s += len) {
		s++;
		len = strcspn(s, ",");
		if (!len || (len == 1 && (*s == '+' || *s == '-'))) {
			snprintf(err, errlen, "an empty cpu feature in '%s'", arg);
			return false;
		}
		if (!parse_item(&p, s, len))
			return false;
	}
	return drop_dependants(&p);
}

void cpu_model_list(FILE *out)
{
	fprintf(out, "models:\n");
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		fprintf(out, "  %-6s %s\n", models[i].name, models[i].text);
	fprintf(out, "features:\n ");
	for (unsigned f = 0; f < FEATURES; f++)
		if (features[f].name)
			fprintf(out, " %s", features[f].name);
	fprintf(out, "\nVMX controls:\n ");
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		fprintf(out, " %s", switches[i].name);
	fputs("\n" PHYS_BITS "=N: bits of a physical address\n", out);
}

void cpu_model_print(const struct cpu_model *m, FILE *out)
{
	struct vmx_model_mask standard;

	standard_mask(&standard);
	fprintf(out, "%s," PHYS_BITS "=%u", m->name, m->maxphyaddr);
	for (unsigned f = 0; f < FEATURES; f++)
		if (features[f].name)
			fprintf(out, ",%s=%s", features[f].name, model_has(m, f) ? "on" : "off");
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++) {
		u64 now = *switch_word(m->vmx_mask, &switches[i]) & switches[i].bit;
		u64 usual = *switch_word(&standard, &switches[i]) & switches[i].bit;

		if (now != usual)
			fprintf(out, ",%s=%s", switches[i].name, now ? "on" : "off");
	}
}
