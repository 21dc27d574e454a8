/*
 * VMCS fields by encoding, and VMCS regions in guest memory. An encoding is folded to ten bits, the
 * fold indexes a table of rows, a row is an offset into struct vmcs (SDM Vol. 3, "Use of VMREAD and
 * VMWRITE", "Format of the VMCS Region").
 *
 * Region: +0 revision identifier and shadow indicator, +4 VMX-abort indicator, +8 launch state,
 * +16 the host structure as it lies in host memory. The layout of VMCS data is ours to choose, and
 * every bit pattern of it is a valid structure, so that a scribbled region is only a bad VMCS.
 */
#include <inttypes.h>

#include "mmu/physmem.h"
#include "vmx/caps.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmcs.h"

#define REGION_LAUNCH 8
#define REGION_DATA 16

_Static_assert(sizeof(struct vmcs) + REGION_DATA <= VMCS_REGION_BYTES, "fits the region");

enum print_kind { HEX, AR, PIN, PROC, PROC2, EXIT, ENTRY, PROC3, EXIT2, REASON, ERROR };

struct vmcs_row {
	u16 enc, offset;
	u8 print;     /* enum print_kind */
	u16 needs[2]; /* 1 + control that may be 1: either makes the field exist; 0, 0: always */
	const char *name;
};

#define ALWAYS                                                                                     \
	{                                                                                          \
		0, 0                                                                               \
	}
#define HAS(control)                                                                               \
	{                                                                                          \
		1 + (control), 0                                                                   \
	}
#define EITHER(a, b)                                                                               \
	{                                                                                          \
		1 + (a), 1 + (b)                                                                   \
	}
static const struct vmcs_row rows[] = {
#define F(enc, name, member, when, print) {enc, offsetof(struct vmcs, member), print, when, #name},
#include "vmx/vmcs_fields.def"
};
#undef ALWAYS
#undef HAS
#undef EITHER

#define F(enc, name, member, when, print)                                                          \
	_Static_assert(sizeof(((struct vmcs *)0)->member) == VMCS_BYTES(enc), #name);
#include "vmx/vmcs_fields.def"

#define ROWS ARRAY_SIZE(rows)
_Static_assert(ROWS <= VMX_FIELD_ROWS && ROWS < 256, "row numbers are bytes");

/* Index below 64 | type << 6 | width << 8. */
#define FOLD_INDEXES 64
#define FOLD(enc) (VMCS_INDEX(enc) | VMCS_TYPE(enc) << 6 | VMCS_WIDTH(enc) << 8)
#define FOLD_BITS 0x6c7fu /* what a foldable encoding may have set: the access bit too */

enum row_number {
#define F(enc, name, member, when, print) ROW_##name,
#include "vmx/vmcs_fields.def"
};

static const u8 row_of[1024] = {
#define F(enc, name, member, when, print) [FOLD(enc)] = ROW_##name + 1,
#include "vmx/vmcs_fields.def"
};

#define F(enc, name, member, when, print)                                                          \
	_Static_assert(((enc) & ~FOLD_BITS) == 0 && !VMCS_IS_HIGH(enc), #name);
#include "vmx/vmcs_fields.def"

static const struct vmcs_row *find_row(u64 enc)
{
	unsigned n;

	if (enc & ~(u64)FOLD_BITS)
		return NULL;
	n = row_of[FOLD(enc)];
	if (!n || (VMCS_IS_HIGH(enc) && VMCS_WIDTH(enc) != VMCS_WIDTH_64))
		return NULL;
	return &rows[n - 1];
}

static const struct vmcs_row *find_existing(const struct vmx_caps *caps, u64 enc)
{
	const struct vmcs_row *row = find_row(enc);

	return row && caps->field_exists[row - rows] ? row : NULL;
}

static bool row_exists(const struct vmx_caps *caps, const struct vmcs_row *row)
{
	bool any = !row->needs[0];

	for (unsigned i = 0; i < 2; i++)
		any |= row->needs[i] && vmx_may(caps, (enum vmx_control)(row->needs[i] - 1));
	return any;
}

void vmcs_caps_init(struct vmx_caps *caps)
{
	unsigned highest = 0;

	for (unsigned i = 0; i < ROWS; i++) {
		caps->field_exists[i] = row_exists(caps, &rows[i]);
		if (caps->field_exists[i] && VMCS_INDEX(rows[i].enc) > highest)
			highest = VMCS_INDEX(rows[i].enc);
	}
	caps->vmcs_enum = highest << 1;
}

static u64 row_get(const struct vmcs *vmcs, const struct vmcs_row *row)
{
	const u8 *p = (const u8 *)vmcs + row->offset;
	u16 v16;
	u32 v32;
	u64 v64;

	switch (VMCS_WIDTH(row->enc)) {
	case VMCS_WIDTH_16:
		memcpy(&v16, p, sizeof(v16));
		return v16;
	case VMCS_WIDTH_32:
		memcpy(&v32, p, sizeof(v32));
		return v32;
	default:
		memcpy(&v64, p, sizeof(v64));
		return v64;
	}
}

static void row_set(struct vmcs *vmcs, const struct vmcs_row *row, u64 value)
{
	u8 *p = (u8 *)vmcs + row->offset;
	u16 v16 = (u16)value;
	u32 v32 = (u32)value;

	switch (VMCS_WIDTH(row->enc)) {
	case VMCS_WIDTH_16:
		memcpy(p, &v16, sizeof(v16));
		break;
	case VMCS_WIDTH_32:
		memcpy(p, &v32, sizeof(v32));
		break;
	default:
		memcpy(p, &value, sizeof(value));
	}
}

static unsigned row_group(const struct vmcs_row *row)
{
	switch (VMCS_TYPE(row->enc)) {
	case VMCS_CONTROL:
		return row->enc == VMCS_VM_ENTRY_INTERRUPTION_INFORMATION ||
				       row->enc == VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE ||
				       row->enc == VMCS_VM_ENTRY_INSTRUCTION_LENGTH
			       ? VMCS_DIRTY_INJECTION
			       : VMCS_DIRTY_CONTROLS;
	case VMCS_HOST:
		return VMCS_DIRTY_HOST;
	case VMCS_GUEST:
		return row->offset - offsetof(struct vmcs, guest.seg) <
				       sizeof(((struct vmcs *)0)->guest.seg)
			       ? VMCS_DIRTY_SEGMENTS
			       : VMCS_DIRTY_GUEST;
	default:
		return 0;
	}
}

unsigned vmcs_read(const struct vmx_caps *caps, const struct vmcs *vmcs, u64 enc, u64 *value)
{
	const struct vmcs_row *row = find_existing(caps, enc);

	if (!row)
		return VMX_ERROR_UNSUPPORTED_COMPONENT;
	*value = row_get(vmcs, row);
	if (VMCS_IS_HIGH(enc))
		*value >>= 32;
	return 0;
}

unsigned vmcs_write(const struct vmx_caps *caps, struct vmcs *vmcs, u64 enc, u64 value,
		    unsigned *group)
{
	const struct vmcs_row *row = find_existing(caps, enc);

	if (!row)
		return VMX_ERROR_UNSUPPORTED_COMPONENT;
	if (VMCS_TYPE(enc) == VMCS_READ_ONLY && !(caps->misc & VMX_MISC_VMWRITE_ANY))
		return VMX_ERROR_VMWRITE_READ_ONLY;
	if (VMCS_IS_HIGH(enc))
		value = (row_get(vmcs, row) & 0xffffffff) | value << 32;
	row_set(vmcs, row, value);
	if (group)
		*group = row_group(row);
	return 0;
}

u64 vmcs_field_value(const struct vmcs *vmcs, u32 enc)
{
	const struct vmcs_row *row = find_row(enc);

	return row ? row_get(vmcs, row) : 0;
}

const char *vmcs_field_name(u32 enc)
{
	const struct vmcs_row *row = find_row(enc);

	return row ? row->name : NULL;
}

unsigned vmcs_field_count(void)
{
	return ROWS;
}

u32 vmcs_field_encoding(unsigned row)
{
	return rows[row].enc;
}

static void print_controls(FILE *out, enum vmx_word word, u64 value)
{
	const char *separator = " ";

	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = value >> bit & 1 ? vmx_control_name(word, bit) : NULL;

		if (name) {
			fprintf(out, "%s%s", separator, name);
			separator = "|";
		}
	}
}

static void print_ar(FILE *out, u64 ar)
{
	fprintf(out, " type %u%s dpl %u%s%s%s%s%s%s", (unsigned)bits(ar, 3, 0),
		ar & BIT(4) ? " S" : "", (unsigned)bits(ar, 6, 5), ar & BIT(7) ? " P" : "",
		ar & BIT(12) ? " AVL" : "", ar & BIT(13) ? " L" : "", ar & BIT(14) ? " D/B" : "",
		ar & BIT(15) ? " G" : "", ar & BIT(16) ? " unusable" : "");
}

static void print_meaning(FILE *out, const struct vmcs_row *row, u64 value)
{
	const char *text = NULL;

	switch ((enum print_kind)row->print) {
	case PIN:
	case PROC:
	case PROC2:
	case EXIT:
	case ENTRY:
	case PROC3:
	case EXIT2:
		print_controls(out, (enum vmx_word)(row->print - PIN), value);
		return;
	case AR:
		print_ar(out, value);
		return;
	case REASON:
		text = exit_reason_name((u32)value);
		break;
	case ERROR:
		text = instruction_error_text((unsigned)value);
		break;
	case HEX:
		break;
	}
	if (text)
		fprintf(out, " %s", text);
}

void vmcs_print(const struct vmx_caps *caps, const struct vmcs *vmcs, FILE *out)
{
	for (unsigned i = 0; i < ROWS; i++) {
		u64 value = row_get(vmcs, &rows[i]);

		if (!caps->field_exists[i])
			continue;
		fprintf(out, "  %04x %-50s %0*" PRIx64, rows[i].enc, rows[i].name,
			2 * VMCS_BYTES(rows[i].enc), value);
		print_meaning(out, &rows[i], value);
		fputc('\n', out);
	}
}

static u32 region_read32(struct physmem *mem, u64 paddr)
{
	u8 b[4];

	dma_read(mem, paddr, b, sizeof(b));
	return load_le32(b);
}

static void region_write32(struct physmem *mem, u64 paddr, u32 value)
{
	u8 b[4];

	store_le32(b, value);
	dma_write(mem, paddr, b, sizeof(b));
}

u32 vmcs_region_revision(struct physmem *mem, u64 ptr)
{
	return region_read32(mem, ptr);
}

void vmcs_region_set_abort(struct physmem *mem, u64 ptr, u32 indicator)
{
	region_write32(mem, ptr + 4, indicator);
}

void vmcs_region_set_clear(struct physmem *mem, u64 ptr)
{
	region_write32(mem, ptr + REGION_LAUNCH, VMCS_CLEAR);
}

void vmcs_region_load(struct physmem *mem, u64 ptr, struct vmcs *vmcs, bool *launched)
{
	dma_read(mem, ptr + REGION_DATA, vmcs, sizeof(*vmcs));
	*launched = region_read32(mem, ptr + REGION_LAUNCH) == VMCS_LAUNCHED;
}

void vmcs_region_store(struct physmem *mem, u64 ptr, const struct vmcs *vmcs, bool launched)
{
	dma_write(mem, ptr + REGION_DATA, vmcs, sizeof(*vmcs));
	region_write32(mem, ptr + REGION_LAUNCH, launched ? VMCS_LAUNCHED : VMCS_CLEAR);
}
