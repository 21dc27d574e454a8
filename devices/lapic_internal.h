/*
 * Shared by the parts of the local APIC: lapic.c (acceptance, LVT, registers, MSRs), lapic_timer.c,
 * lapic_bus.c (destination matching and delivery of messages).
 */
#ifndef DEVICES_LAPIC_INTERNAL_H
#define DEVICES_LAPIC_INTERNAL_H

#include "devices/lapic.h"

enum { /* delivery modes, as in the ICR */
       MODE_FIXED = 0,
       MODE_LOWEST = 1,
       MODE_SMI = 2,
       MODE_NMI = 4,
       MODE_INIT = 5,
       MODE_STARTUP = 6,
       MODE_EXTINT = 7,
};

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

#define SVR_ENABLE 0x100u
#define DIVIDE_MASK 0xbu

static inline u64 lapic_now(const struct lapic *l)
{
	return clock_now(l->device.env.clock);
}

static inline bool lapic_software_enabled(const struct lapic *l)
{
	return l->svr & SVR_ENABLE;
}

u32 lapic_ppr(const struct lapic *l);
/* Logical destination: LDR, in x2APIC mode derived from the ID. */
u32 lapic_logical_id(const struct lapic *l);
/* Sets IRR, or reports an illegal vector. */
void lapic_request(struct lapic *l, unsigned vector, bool level);
/* Does what an LVT entry says. */
void lapic_deliver_lvt(struct lapic *l, enum lapic_lvt which);

unsigned lapic_timer_mode(const struct lapic *l);
u32 lapic_timer_current(const struct lapic *l);
/* Arms the host timer as the registers say. */
void lapic_timer_arm(struct lapic *l);
/* Starts counting down from count; 0 stops. */
void lapic_timer_start(struct lapic *l, u32 count);
void lapic_timer_fire(void *lapic, u64 time);
/* Saved timer state makes sense. */
bool lapic_timer_valid(const struct lapic *l);
void lapic_write_divide(struct lapic *l, u32 v);
void lapic_write_timer_mode(struct lapic *l, unsigned mode);
void lapic_write_tsc_deadline(struct lapic *l, u64 v);

#endif
