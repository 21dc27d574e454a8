/*
 * The VMCSs of our guest (VMCS12) and what stands for them: a VMCS02 that the processor can run,
 * and with VMCS shadowing a shadow VMCS that serves the guest's own VMREADs and VMWRITEs without an
 * exit.
 *
 * Which copy of a field counts? With shadowing, the fields of the roles HOT, LINK and INFO are in
 * the shadow VMCS. All others are in field[], except that guest state which the processor may have
 * changed in VMCS02 is fetched from there the first time the guest asks for it (valid[]), and what
 * the guest has written goes to VMCS02 at the next VM entry (dirty[]). So an exit that the guest
 * answers by moving RIP moves a dozen fields, not a hundred.
 * SDM vol. 3, "Virtual-Machine Control Structures", "VMCS Types: Ordinary and Shadow".
 */
#include "level.h"

enum role { OWN, COPY, STATE, HOT, LINK, INFO, HOST, KEEP };

static const u16 slot_encoding[SLOT_COUNT] = {
#define VMCS_FIELD(name, encoding, role) [SLOT_##name] = (encoding),
#include "vmcs.def"
};

static const u8 slot_role[SLOT_COUNT] = {
#define VMCS_FIELD(name, encoding, role) [SLOT_##name] = (role),
#include "vmcs.def"
};

/* Width, type and the low five bits of the index: unique for every field in vmcs.def. */
#define FOLD(encoding)                                                                             \
	(((encoding) >> 13 & 3) << 7 | ((encoding) >> 10 & 3) << 5 | ((encoding) >> 1 & 31))

static const u8 slot_of_fold[512] = {
#define VMCS_FIELD(name, encoding, role) [FOLD(encoding)] = SLOT_##name + 1,
#include "vmcs.def"
};

static void set_add(u64 *set, int slot)
{
	set[slot / 64] |= BIT(slot % 64);
}

static bool set_has(const u64 *set, int slot)
{
	return set[slot / 64] >> slot % 64 & 1;
}

/* Slot of a field encoding; -1 if our guest's processor has no such field. */
int vmcs_slot(u64 field)
{
	int slot = slot_of_fold[FOLD(field)] - 1;

	/* bit 0 selects the high half of a 64-bit field */
	return slot >= 0 && slot_encoding[slot] == (field & ~1ull) ? slot : -1;
}

static bool role_in_shadow(enum role role)
{
	return role == HOT || role == LINK || role == INFO;
}

/*
 * Which VMREADs and VMWRITEs of our guest exit although it has a shadow VMCS (bit set): those of
 * the fields that are not in it. SDM vol. 3, "VMCS Shadowing Bitmap Addresses".
 */
void vmcs12_shadow_bitmap_build(struct level *l)
{
	u8 *bitmap;

	l->shadow_bitmap = page_alloc(l);
	bitmap = (u8 *)l->shadow_bitmap;
	memset(bitmap, 0xff, PAGE_SIZE);
	for (int slot = 0; slot < SLOT_COUNT; slot++)
		if (role_in_shadow(slot_role[slot]))
			bitmap[slot_encoding[slot] / 8] &= (u8)~BIT(slot_encoding[slot] % 8);
}

/* Host state but for RIP and RSP, which every exit loads anyway. */
bool vmcs_slot_is_host(int slot)
{
	return slot_role[slot] == HOST && slot != SLOT_HOST_RIP && slot != SLOT_HOST_RSP;
}

/* The VMCS at an address of our guest, new if there was none: a hash table, never emptied. */
struct vmcs12 *vmcs12_find(struct level *l, u64 region)
{
	for (u64 i = 0; i < MAX_REGIONS; i++) {
		struct vmcs12 *v = &l->region[(region / PAGE_SIZE + i) % MAX_REGIONS];

		if (v->used && v->region == region)
			return v;
		if (v->used)
			continue;
		v->used = true;
		v->region = region;
		if (l->shadowing)
			v->shadow_region = vmcs_region_create(l, SHADOW_VMCS_INDICATOR);
		for (u32 word = 0; word < SLOT_WORDS; word++) {
			v->valid[word] = ~0ull;
			v->dirty[word] = ~0ull;
		}
		return v;
	}
	fatal(l, "more than %u VMCSs", MAX_REGIONS);
}

static bool in_shadow(const struct vmcs12 *v, int slot)
{
	return v->is_shadow || (v->shadow_region && role_in_shadow(slot_role[slot]));
}

/* Visit another VMCS for one field; on return the current VMCS is again the one from before. */
static u64 read_elsewhere(struct level *l, u64 region, int slot)
{
	u64 before = l->loaded, value;

	vmcs_load(l, region);
	value = vmcs_get(l, slot_encoding[slot]);
	vmcs_load(l, before);
	return value;
}

static void write_elsewhere(struct level *l, u64 region, int slot, u64 value)
{
	u64 before = l->loaded;

	vmcs_load(l, region);
	vmcs_set(l, slot_encoding[slot], value);
	vmcs_load(l, before);
}

u64 vmcs12_read(struct level *l, struct vmcs12 *v, int slot)
{
	enum role role = slot_role[slot];

	if (in_shadow(v, slot))
		return read_elsewhere(l, v->shadow_region, slot);
	if ((role == STATE || role == HOT) && !set_has(v->valid, slot)) {
		v->field[slot] = read_elsewhere(l, v->vmcs02, slot);
		set_add(v->valid, slot);
	}
	return v->field[slot];
}

void vmcs12_write(struct level *l, struct vmcs12 *v, int slot, u64 value)
{
	if (in_shadow(v, slot)) {
		write_elsewhere(l, v->shadow_region, slot, value);
		return;
	}
	v->field[slot] = value;
	set_add(v->valid, slot);
	set_add(v->dirty, slot);
	v->checked = false;
	if (slot_role[slot] == HOST)
		l->host_loaded = NULL;
}

/* Before a VM entry: what has the guest written into its shadow VMCS? Leaves that one current. */
void vmcs12_take_shadow(struct level *l, struct vmcs12 *v)
{
	static const u8 writable[] = {SLOT_GUEST_RIP, SLOT_GUEST_RSP, SLOT_GUEST_RFLAGS,
				      SLOT_GUEST_CR3, SLOT_VMCS_LINK_POINTER};

	if (!v->shadow_region)
		return;
	vmcs_load(l, v->shadow_region);
	for (u32 i = 0; i < sizeof(writable); i++) {
		int slot = writable[i];
		u64 value = vmcs_get(l, slot_encoding[slot]);

		if (value != v->field[slot]) {
			v->field[slot] = value;
			set_add(v->dirty, slot);
		}
	}
}

/* What serves the guest's guest is a shadow VMCS of our guest; the processor gets ours for it. */
static u64 link_pointer(struct level *l, struct vmcs12 *v)
{
	u64 link = v->field[SLOT_VMCS_LINK_POINTER];
	const u32 *revision = guest_pointer(l, link, PAGE_SIZE);
	struct vmcs12 *shadow;

	if (!v->shadowing || link == NO_VMCS)
		return NO_VMCS;
	if (!revision || *revision != (VMCS_REVISION | SHADOW_VMCS_INDICATOR))
		fatal(l, "link pointer 0x%lx of level %u is no shadow VMCS", link, l->number + 1);
	shadow = vmcs12_find(l, link);
	shadow->is_shadow = true;
	return shadow->shadow_region;
}

/* A page of the guest that the processor itself will read. */
static u64 page_of_guest(struct level *l, u64 address)
{
	void *page = guest_pointer(l, address & ~(PAGE_SIZE - 1), PAGE_SIZE);

	if (!page)
		fatal(l, "address 0x%lx in a VMCS of level %u is outside its memory", address,
		      l->number + 1);
	return (u64)page;
}

/* The controls of VMCS02: ours, with what the guest turned on in addition. VMCS02 is current. */
static void controls_merge(struct level *l, struct vmcs12 *v)
{
	const u64 *field = v->field;
	u64 secondary = l->secondary;

	v->shadowing = field[SLOT_SECONDARY_CONTROLS] & SECONDARY_VMCS_SHADOWING;
	if (v->shadowing)
		secondary |= SECONDARY_VMCS_SHADOWING;
	if (!(field[SLOT_SECONDARY_CONTROLS] & SECONDARY_ENABLE_VPID))
		secondary &= ~SECONDARY_ENABLE_VPID;
	vmcs_set(l, PRIMARY_CONTROLS, l->primary | field[SLOT_PRIMARY_CONTROLS]);
	vmcs_set(l, SECONDARY_CONTROLS, secondary);
	vmcs_set(l, EPT_POINTER, ept_pointer(l, v->ept02));
	if (v->shadowing) {
		vmcs_set(l, VMREAD_BITMAP, page_of_guest(l, field[SLOT_VMREAD_BITMAP]));
		vmcs_set(l, VMWRITE_BITMAP, page_of_guest(l, field[SLOT_VMWRITE_BITMAP]));
	}
}

/* Bring VMCS02, which is current, up to date with everything the guest has written. */
void vmcs12_flush(struct level *l, struct vmcs12 *v)
{
	bool own = false, link = false;

	for (int word = 0; word < SLOT_WORDS; word++) {
		for (u64 todo = v->dirty[word]; todo; todo &= todo - 1) {
			int slot = word * 64 + __builtin_ctzll(todo);
			enum role role = slot < SLOT_COUNT ? slot_role[slot] : KEEP;

			own |= role == OWN;
			link |= role == LINK;
			if (role == COPY || role == STATE || role == HOT)
				vmcs_set(l, slot_encoding[slot], v->field[slot]);
		}
		v->dirty[word] = 0;
	}
	if (own)
		controls_merge(l, v);
	if (own || link)
		vmcs_set(l, VMCS_LINK_POINTER, link_pointer(l, v));
}

/* Guest state that goes with every exit, and exit information that depends on the reason. */
static const u8 hot_slots[] = {SLOT_GUEST_RIP, SLOT_GUEST_RSP, SLOT_GUEST_RFLAGS, SLOT_GUEST_CR3};

static const struct {
	u8 slot;
	u8 information;
} information_slots[] = {
	{SLOT_EXIT_INSTRUCTION_LENGTH, HAS_LENGTH},
	{SLOT_EXIT_INSTRUCTION_INFORMATION, HAS_INFORMATION},
	{SLOT_GUEST_PHYSICAL_ADDRESS, HAS_ADDRESSES},
	{SLOT_GUEST_LINEAR_ADDRESS, HAS_ADDRESSES},
	{SLOT_EXIT_INTERRUPTION_INFORMATION, HAS_EVENT},
	{SLOT_EXIT_INTERRUPTION_ERROR_CODE, HAS_EVENT},
	{SLOT_IDT_VECTORING_INFORMATION, HAS_VECTORING},
	{SLOT_IDT_VECTORING_ERROR_CODE, HAS_VECTORING},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The exit that has just happened in VMCS02, which is current, into field[]. */
void vmcs12_record_exit(struct level *l, struct vmcs12 *v, u64 reason)
{
	u32 information = exit_reason_information(reason);

	v->valid[0] = v->valid[1] = 0;
	v->field[SLOT_EXIT_REASON] = reason;
	v->field[SLOT_EXIT_QUALIFICATION] =
		information & HAS_QUALIFICATION ? vmcs_get(l, EXIT_QUALIFICATION) : 0;
	/* an injected event is gone, in VMCS02 as well */
	v->field[SLOT_ENTRY_INTERRUPTION_INFORMATION] &= ~BIT(31);
	/* without a shadow VMCS the guest's VMREAD of anything but RIP fetches it */
	for (u32 i = 0; i < (v->shadow_region ? COUNT(hot_slots) : 1); i++) {
		v->field[hot_slots[i]] = vmcs_get(l, slot_encoding[hot_slots[i]]);
		set_add(v->valid, hot_slots[i]);
	}
	for (u32 i = 0; i < COUNT(information_slots); i++) {
		int slot = information_slots[i].slot;

		if (information & information_slots[i].information)
			v->field[slot] = vmcs_get(l, slot_encoding[slot]);
	}
}

/* The recorded exit into the shadow VMCS, for the guest to read. Leaves that one current. */
void vmcs12_publish_exit(struct level *l, struct vmcs12 *v)
{
	u32 information = exit_reason_information(v->field[SLOT_EXIT_REASON]);

	if (!v->shadow_region)
		return;
	vmcs_load(l, v->shadow_region);
	vmcs_set(l, EXIT_REASON, v->field[SLOT_EXIT_REASON]);
	vmcs_set(l, EXIT_QUALIFICATION, v->field[SLOT_EXIT_QUALIFICATION]);
	for (u32 i = 0; i < COUNT(hot_slots); i++)
		vmcs_set(l, slot_encoding[hot_slots[i]], v->field[hot_slots[i]]);
	for (u32 i = 0; i < COUNT(information_slots); i++) {
		int slot = information_slots[i].slot;

		if (information & information_slots[i].information)
			vmcs_set(l, slot_encoding[slot], v->field[slot]);
	}
}
