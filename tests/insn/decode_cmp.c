/*
 * Compares the decoder with Zydis over random bytes and over encodings made from the instruction
 * table, in 16, 32 and 64-bit mode: which byte sequences are instructions of -cpu max, and how long
 * they are. Zydis is there if HAVE_ZYDIS is defined.
 */
#include "tests/insn/hostcmp.h"

#ifndef HAVE_ZYDIS

int decode_compare(u64 count, u64 seed, bool verbose)
{
	(void)count;
	(void)seed;
	(void)verbose;
	printf("decode: skipped: built without Zydis (Debian package libzydis-dev)\n");
	return 0;
}

#else

#include <Zydis/Zydis.h>
#include <string.h>

#include "cpu/model.h"
#include "tests/insn/encode.h"

#define SHOWN 20
#define MODES 3

enum disagreement { AGREE, ONLY_OURS, ONLY_ZYDIS, LENGTHS };

static const struct {
	const char *name;
	u8 opcode;
	enum disagreement kind;
} accepted[] = {
#define ACCEPT(mnemonic, opcode, kind, reason) {mnemonic, opcode, kind},
#include "tests/insn/decode_known.def"
};

struct cmp {
	bool verbose;
	struct decoder *ours;
	ZydisDecoder theirs[MODES];
	struct rng rng;
	u64 compared, legal, differences, known;
};

static const u8 mode_bits[MODES] = {16, 32, 64};

static bool claimed(ZydisISAExt e)
{
	switch (e) {
#define CLAIMED(name) case ZYDIS_ISA_EXT_##name:
#include "tests/insn/decode_isa.def"
		return true;
	default:
		return false;
	}
}

static bool start_zydis(struct cmp *c)
{
	static const ZydisMachineMode machine[MODES] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
							ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
							ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth stack[MODES] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
						     ZYDIS_STACK_WIDTH_64};
	/* Extensions over hint NOPs and prefixes that -cpu max does not have. */
	static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
					       ZYDIS_DECODER_MODE_WBNOINVD,
					       ZYDIS_DECODER_MODE_CLDEMOTE};

	for (unsigned m = 0; m < MODES; m++) {
		if (ZYAN_FAILED(ZydisDecoderInit(&c->theirs[m], machine[m], stack[m])))
			return false;
		for (unsigned k = 0; k < ARRAY_SIZE(off); k++)
			if (ZYAN_FAILED(ZydisDecoderEnableMode(&c->theirs[m], off[k], ZYAN_FALSE)))
				return false;
	}
	return true;
}

/* --- bytes --- */

static void random_bytes(struct rng *r, u8 *b)
{
	static const u8 common[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36,
				    0x48, 0x41, 0x0f, 0x0f, 0xc4, 0xc5, 0x64};
	unsigned n = rnd_below(r, 5);

	for (unsigned k = 0; k < INSN_MAX_LEN; k++)
		b[k] = (u8)rnd(r);
	for (unsigned k = 0; k < n; k++)
		b[k] = common[rnd_below(r, ARRAY_SIZE(common))];
	if (chance(r, 40))
		b[n] = 0x0f;
	if (chance(r, 30) && n < 12)
		b[n + 1] = chance(r, 50) ? 0x38 : 0x3a;
}

/* An encoding of a row, perhaps with a bit or a prefix changed. */
static void table_bytes(struct rng *r, unsigned bits, u8 *b)
{
	u8 out[ENC_MAX + INSN_MAX_LEN] = {0};
	struct enc e;
	unsigned n;

	enc_random(&e, &insn_rows[rnd_below(r, insn_row_count)], bits, r);
	n = enc_bytes(&e, out);
	for (unsigned k = n; k < sizeof(out); k++)
		out[k] = (u8)rnd(r);
	if (chance(r, 30))
		out[rnd_below(r, n)] ^= (u8)(1u << rnd_below(r, 8));
	memcpy(b, out, INSN_MAX_LEN);
}

/* --- comparison --- */

static enum disagreement compare(bool ok, unsigned len, bool zok, const ZydisDecodedInstruction *z)
{
	if (zok && !claimed(z->meta.isa_ext))
		zok = false;
	if (ok != zok)
		return ok ? ONLY_OURS : ONLY_ZYDIS;
	return ok && len != z->length ? LENGTHS : AGREE;
}

static bool is_known(enum disagreement d, const char *name, u8 opcode)
{
	for (unsigned k = 0; k < ARRAY_SIZE(accepted); k++)
		if (accepted[k].kind == d && accepted[k].opcode == opcode &&
		    !strcmp(accepted[k].name, name))
			return true;
	return false;
}

static void report(struct cmp *c, unsigned bits, const u8 *b, enum disagreement d,
		   const struct insn *i, bool zok, const ZydisDecodedInstruction *z)
{
	if (c->differences++ >= SHOWN && !c->verbose)
		return;
	printf("%u-bit ", bits);
	for (unsigned k = 0; k < INSN_MAX_LEN; k++)
		printf("%02x ", b[k]);
	printf(": ours %s %u, Zydis %s %u\n", d == ONLY_ZYDIS ? "#UD" : i->row->name, i->len,
	       zok ? ZydisMnemonicGetString(z->mnemonic) : "#UD", zok ? z->length : 0);
}

static void one(struct cmp *c, unsigned m)
{
	ZydisDecodedInstruction z = {0};
	u8 b[INSN_MAX_LEN];
	enum disagreement d;
	struct insn i;
	bool ok, zok;

	if (chance(&c->rng, 50))
		random_bytes(&c->rng, b);
	else
		table_bytes(&c->rng, mode_bits[m], b);
	ok = decode(c->ours, mode_bits[m], b, sizeof(b), &i) == DECODE_OK;
	zok = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&c->theirs[m], NULL, b, sizeof(b), &z));
	d = compare(ok, i.len, zok, &z);
	c->compared++;
	c->legal += ok;
	if (d == AGREE)
		return;
	if (d == ONLY_OURS ? is_known(d, i.row->name, i.opcode)
			   : is_known(d, ZydisMnemonicGetString(z.mnemonic), z.opcode))
		c->known++;
	else
		report(c, mode_bits[m], b, d, &i, zok, &z);
}

int decode_compare(u64 count, u64 seed, bool verbose)
{
	struct cmp c = {.verbose = verbose, .rng = {.s = seed * 0x9e3779b97f4a7c15ull}};
	struct vmx_model_mask mask;
	struct cpu_model model;
	char err[128];

	if (!cpu_model_parse(&model, &mask, "max", err, sizeof(err)) || !start_zydis(&c))
		return 2;
	c.ours = decoder_new(&model);
	if (!c.ours)
		return 2;
	for (u64 k = 0; k < count; k++)
		one(&c, (unsigned)(k % MODES));
	decoder_free(c.ours);
	printf("decode: %llu compared with Zydis, %llu legal, %llu known disagreements, "
	       "%llu differences\n",
	       (unsigned long long)c.compared, (unsigned long long)c.legal,
	       (unsigned long long)c.known, (unsigned long long)c.differences);
	return c.differences != 0;
}

#endif
