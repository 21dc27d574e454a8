/*
 * IPI virtualization: a write to the interrupt-command register posts the interrupt to the virtual
 * processor that the PID-pointer table names (SDM Vol. 3, "IPI Virtualization").
 *
 * Left out: SENDUIPI, as this CPU has no user interrupts.
 */
#include "vmx/vapic.h"

#define PID_POINTER_LOW 0x3full /* valid bit and reserved bits of a table entry */
#define PID_POINTER_VALID 1ull

/* Posts the vector, and sends the notification if none is outstanding or suppressed. */
static void post(struct vcpu *v, u64 pid, u8 vector)
{
	u64 at = pid + vector / 8;
	u64 control;

	phys_write(v, at, phys_read(v, at, 1) | BIT(vector & 7), 1);
	control = phys_read(v, pid + PID_CONTROL, 8);
	if (control & (PID_ON | PID_SN))
		return;
	phys_write(v, pid + PID_CONTROL, control | PID_ON, 8);
	v->wires->apic_notify(v->wires->owner, (u32)(control >> 32), (u8)(control >> 16));
}

bool ipi_virtualization(struct vcpu *v, u8 vector, u32 id)
{
	const struct vmcs_control *c = &v->vmx.vmcs.ctl;
	u64 pointer;

	if (vector < 16 || id > c->last_pid_index)
		return false;
	pointer = phys_read(v, c->pid_table + 8ull * id, 8);
	if ((pointer & PID_POINTER_LOW) != PID_POINTER_VALID || pointer & ~v->phys_mask)
		return false;
	post(v, pointer - PID_POINTER_VALID, vector);
	return true;
}
