/*
 * S3, suspend to RAM. ACPI specification, "S3 Sleeping State", "Firmware ACPI Control Structure". RAM,
 * the RTC and the power management registers keep their contents. On a wake event firmware, which we
 * are, goes to the vector in the FACS in real mode. Left out: the 64-bit waking vector.
 */
#include "devices/device.h"
#include "machine/board.h"

#define FACS_WAKING_VECTOR 12

static void suspend(struct machine *m)
{
	m->sleep_wanted = false;
	m->asleep = true;
	board_suspend(m);
}

static void resume(struct machine *m)
{
	struct vcpu *v = &m->cpu[0]->v;
	u32 vector = 0;

	m->asleep = false;
	board_resume(m);
	dma_read(&m->mem, ACPI_FACS + FACS_WAKING_VECTOR, &vector, sizeof(vector));
	if (!vector || vector >= 0x100000) {
		m->reset_wanted = true; /* nobody to go back to: boot */
		return;
	}
	v->seg[SEG_CS].sel = (u16)(vector >> 4);
	v->seg[SEG_CS].base = vector & ~15u;
	v->rip = vector & 15;
	vcpu_recompute(v);
}

void sleep_step(struct machine *m)
{
	if (m->sleep_wanted)
		suspend(m);
	if (m->asleep && acpi_pm_wakes(&m->pm))
		resume(m);
}
