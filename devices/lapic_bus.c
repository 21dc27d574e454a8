/*
 * Which local APICs a message reaches, and what it does there. SDM volume 3, "Determining IPI
 * Destination", "Logical Destination Mode in x2APIC Mode", "Message Signalled Interrupts".
 */
#include "base/bits.h"
#include "devices/lapic_internal.h"

#define DESTINATION_ALL8 0xffu
#define DESTINATION_ALL32 0xffffffffu

static bool matches_logical_xapic(const struct lapic *l, u32 dest)
{
	u32 ldr = l->ldr >> 24;

	switch (l->dfr >> 28) {
	case 0xf:
		return ldr & dest;
	case 0:
		return (ldr & 0xf0) == (dest & 0xf0) && (ldr & dest & 0x0f);
	default:
		return false;
	}
}

/* An 8-bit destination reaches x2APICs in cluster 0 only: that is what it can name. */
static bool matches_logical(const struct lapic *l, u32 dest)
{
	u32 id;

	if (!lapic_in_x2apic(l))
		return dest <= 0xff && matches_logical_xapic(l, dest);
	id = lapic_logical_id(l);
	return id >> 16 == dest >> 16 && (id & dest & 0xffff);
}

static bool matches_destination(const struct lapic *l, const struct apic_message *m)
{
	if (m->dest == (m->x2apic ? DESTINATION_ALL32 : DESTINATION_ALL8))
		return true;
	if (m->logical)
		return matches_logical(l, m->dest);
	return m->dest == (lapic_in_x2apic(l) ? l->id : l->xapic_id);
}

bool lapic_matches(const struct lapic *l, const struct apic_message *m, const struct lapic *from)
{
	if (!lapic_enabled(l))
		return false;
	switch (m->shorthand) {
	case 0:
		return matches_destination(l, m);
	case 1:
		return l == from;
	case 2:
		return true;
	default:
		return l != from;
	}
}

static bool accept_fixed(struct lapic *l, const struct apic_message *m)
{
	if (!lapic_software_enabled(l))
		return false;
	lapic_request(l, m->vector, m->level);
	return true;
}

bool lapic_accept(struct lapic *l, const struct apic_message *m)
{
	if (!lapic_enabled(l))
		return false;
	switch (m->mode) {
	case MODE_FIXED:
	case MODE_LOWEST:
		return accept_fixed(l, m);
	case MODE_SMI:
		l->wires.smi(l->wires.owner);
		return true;
	case MODE_NMI:
		l->wires.nmi(l->wires.owner);
		return true;
	case MODE_INIT:
		if (!m->level || m->assert_)
			l->wires.init(l->wires.owner);
		return true;
	case MODE_STARTUP:
		l->wires.sipi(l->wires.owner, m->vector);
		return true;
	case MODE_EXTINT:
		l->extint = 1;
		l->wires.intr_changed(l->wires.owner);
		return true;
	default:
		return false;
	}
}

struct lapic *lapic_arbitrate(struct lapic *const *all, unsigned n, const struct apic_message *m,
			      const struct lapic *from)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (lapic_software_enabled(all[i]) && lapic_matches(all[i], m, from) &&
		    (!best || lapic_ppr(all[i]) < lapic_ppr(best)))
			best = all[i];
	return best;
}

bool lapic_bus_send(struct lapic *const *all, unsigned n, const struct apic_message *m,
		    const struct lapic *from)
{
	struct lapic *one;
	bool taken = false;

	if (m->mode == MODE_LOWEST) {
		one = lapic_arbitrate(all, n, m, from);
		return one && lapic_accept(one, m);
	}
	for (unsigned i = 0; i < n; i++)
		if (lapic_matches(all[i], m, from))
			taken |= lapic_accept(all[i], m);
	return taken;
}

/* "Message Signalled Interrupts". The redirection hint turns fixed into lowest priority. */
struct apic_message lapic_msi_message(u64 addr, u32 data)
{
	struct apic_message m = {
		.dest = (u32)bits(addr, 19, 12),
		.mode = (u8)bits(data, 10, 8),
		.vector = (u8)data,
		.logical = bits(addr, 2, 2),
		.level = bits(data, 15, 15),
		.assert_ = !bits(data, 15, 15) || bits(data, 14, 14),
	};

	if (bits(addr, 3, 3) && m.mode == MODE_FIXED)
		m.mode = MODE_LOWEST;
	return m;
}
