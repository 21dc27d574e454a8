/*
 * ACPI power management block in the manner of the PIIX4: PM1, the 24-bit timer, GPE0, and the SMI
 * command port through which ACPI mode is switched.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/device.h"

#define ACPI_PM_TIMER_HZ 3579545u
#define ACPI_PM_SLP_TYP_S5 0
#define ACPI_PM_SLP_TYP_S3 1
#define ACPI_PM_ENABLE 0xf1 /* values for the SMI command port */
#define ACPI_PM_DISABLE 0xf0

struct acpi_pm {
	struct device device;
	/* Wires: SCI (level, usually IRQ9). */
	struct irq_line sci;
	/* SLP_EN was written with this SLP_TYP; S5 is soft off, S3 keeps memory. */
	void (*sleep)(void *owner, unsigned slp_typ);
	void *sleep_owner;
	/* A value other than enable/disable went to the SMI command port. May be NULL. */
	void (*smi_command)(void *owner, u8 value);
	void *smi_owner;
	/* Ports: PM base (0Ch: PM1_STS 0, PM1_EN 2, PM1_CNT 4, PM_TMR 8), GPE0 base (4: status 0,
	 * enable 2), B2h (2: command, status). */
	struct io_region io, io_gpe, io_smi;
	u16 pm1_status, pm1_enable, pm1_control;
	u16 gpe_status, gpe_enable;
	u16 gpe_level; /* lines that are active now; status cannot be cleared meanwhile */
	u8 apm_control, apm_status;
	u8 rtc_level;
	u64 toggle; /* PM timer tick (64-bit) after which TMR_STS sets: bit 23 changes */
	struct timer timer;
};

extern const struct device_class acpi_pm_class;

void acpi_pm_power_button(struct acpi_pm *p);
/* The RTC's interrupt line. */
void acpi_pm_set_rtc(struct acpi_pm *p, bool level);
/* Into S3: these registers keep power, but the SCI is off. Does something wake? Out of S3. */
void acpi_pm_suspend(struct acpi_pm *p);
bool acpi_pm_wakes(const struct acpi_pm *p);
void acpi_pm_resume(struct acpi_pm *p);
/* General-purpose event n (0..15); shaped for irq_line.set. */
void acpi_pm_set_gpe(void *acpi_pm, unsigned n, bool level);

#endif
