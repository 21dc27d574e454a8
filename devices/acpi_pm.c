/*
 * ACPI fixed hardware. ACPI specification, "Fixed Hardware Features" and "Fixed Hardware Register
 * Descriptions"; register places as in the 82371AB (PIIX4) datasheet. Left out: sleeping states
 * other than S3 and soft off (the sleep callback decides), processor power states, SMI events.
 */
#include "base/bits.h"
#include "devices/acpi_pm.h"

#define TMR_STS 0x0001u
#define PWRBTN_STS 0x0100u
#define RTC_STS 0x0400u
#define WAK_STS 0x8000u
#define STATUS_BITS 0x8531u /* WAK, RTC, PWRBTN, GBL, BM, TMR */
#define ENABLE_BITS 0x0521u /* RTC, PWRBTN, GBL, TMR */
#define SCI_EN 0x0001u
#define SLP_EN 0x2000u
#define CONTROL_BITS 0x1c03u /* SLP_TYP, BM_RLD, SCI_EN */

#define TIMER_HALF (1u << 23) /* the top bit of the 24-bit counter changes every so many ticks */
#define TIMER_MASK 0xffffffu
#define NS_PER_S 1000000000u

/* Split so that it needs no 128-bit division: firmware reads the timer by the million. */
static u64 timer_ticks(const struct acpi_pm *p)
{
	u64 ns = clock_now(p->device.env.clock);

	return ns / NS_PER_S * ACPI_PM_TIMER_HZ + ns % NS_PER_S * ACPI_PM_TIMER_HZ / NS_PER_S;
}

static void update_timer_status(struct acpi_pm *p)
{
	u64 t = timer_ticks(p);

	if (t < p->toggle)
		return;
	p->pm1_status |= TMR_STS;
	p->toggle = (t / TIMER_HALF + 1) * TIMER_HALF;
}

static void arm(struct acpi_pm *p)
{
	struct clock *clock = p->device.env.clock;
	bool wanted = (p->pm1_enable & TMR_STS) && !(p->pm1_status & TMR_STS);

	if (wanted)
		timer_set(clock, &p->timer, clock_ticks_to_ns(p->toggle, ACPI_PM_TIMER_HZ));
	else
		timer_cancel(clock, &p->timer);
}

static void update(struct acpi_pm *p)
{
	bool event;

	update_timer_status(p);
	p->gpe_status |= p->gpe_level;
	event = (p->pm1_status & p->pm1_enable & ENABLE_BITS) || (p->gpe_status & p->gpe_enable);
	irq_set(&p->sci, event && (p->pm1_control & SCI_EN));
	arm(p);
}

static void acpi_pm_fire(void *owner, u64 now)
{
	(void)now;
	update(owner);
}

void acpi_pm_power_button(struct acpi_pm *p)
{
	p->pm1_status |= PWRBTN_STS;
	update(p);
}

void acpi_pm_set_rtc(struct acpi_pm *p, bool level)
{
	if (level && !p->rtc_level)
		p->pm1_status |= RTC_STS;
	p->rtc_level = level;
	update(p);
}

void acpi_pm_suspend(struct acpi_pm *p)
{
	p->pm1_control &= (u16)~SCI_EN;
	update(p);
}

/* The power button does so unasked. */
bool acpi_pm_wakes(const struct acpi_pm *p)
{
	return p->pm1_status & PWRBTN_STS || p->pm1_status & p->pm1_enable & RTC_STS ||
	       p->gpe_status & p->gpe_enable;
}

void acpi_pm_resume(struct acpi_pm *p)
{
	p->pm1_status |= WAK_STS;
	update(p);
}

void acpi_pm_set_gpe(void *acpi_pm, unsigned n, bool level)
{
	struct acpi_pm *p = acpi_pm;

	if (n > 15)
		return;
	p->gpe_level = (u16)((p->gpe_level & ~(1u << n)) | (unsigned)level << n);
	update(p);
}

static void write_control(struct acpi_pm *p, u16 v)
{
	unsigned slp_typ = (unsigned)bits(v, 12, 10);

	p->pm1_control = v & CONTROL_BITS;
	if (!(v & SLP_EN))
		return;
	if (slp_typ != ACPI_PM_SLP_TYP_S5 && slp_typ != ACPI_PM_SLP_TYP_S3)
		LOG(p->device.env.log, unimplemented, "%s: sleep type %u", p->device.id, slp_typ);
	if (p->sleep)
		p->sleep(p->sleep_owner, slp_typ);
}

static u16 pm1_register(struct acpi_pm *p, u64 offset)
{
	switch (offset) {
	case 0:
		update_timer_status(p);
		return p->pm1_status;
	case 2:
		return p->pm1_enable;
	case 4:
		return p->pm1_control;
	default:
		return 0;
	}
}

static u64 pm_read(void *owner, u64 offset, unsigned size)
{
	struct acpi_pm *p = owner;
	u64 down = offset & ~3ull, v;

	if (down == 8)
		v = timer_ticks(p) & TIMER_MASK;
	else
		v = pm1_register(p, down) | (u64)pm1_register(p, down + 2) << 16;
	return v >> (8 * (offset - down)) & size_mask(size);
}

/* lanes: the bytes of v that were written. */
static void pm1_write(struct acpi_pm *p, u64 offset, u16 v, u16 lanes)
{
	switch (offset) {
	case 0:
		p->pm1_status &= (u16) ~(v & lanes & STATUS_BITS);
		break;
	case 2:
		p->pm1_enable = ((p->pm1_enable & ~lanes) | (v & lanes)) & ENABLE_BITS;
		break;
	case 4:
		write_control(p, (u16)((p->pm1_control & ~lanes) | (v & lanes)));
		break;
	default: /* the timer is read-only */
		break;
	}
}

static void pm_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct acpi_pm *p = owner;
	u64 down = offset & ~3ull;
	u32 v = (u32)(value << (8 * (offset - down)));
	u32 lanes = (u32)(size_mask(size) << (8 * (offset - down)));

	update_timer_status(p);
	if (lanes & 0xffff)
		pm1_write(p, down, (u16)v, (u16)lanes);
	if (lanes >> 16)
		pm1_write(p, down + 2, (u16)(v >> 16), (u16)(lanes >> 16));
	update(p);
}

static u64 gpe_read(void *owner, u64 offset, unsigned size)
{
	const struct acpi_pm *p = owner;
	u32 v = p->gpe_status | (u32)p->gpe_enable << 16;

	return v >> (8 * offset) & size_mask(size);
}

static void gpe_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct acpi_pm *p = owner;
	u32 v = (u32)(value << (8 * offset)), lanes = (u32)(size_mask(size) << (8 * offset));
	u16 high = (u16)(lanes >> 16);

	p->gpe_status &= (u16) ~(v & lanes);
	p->gpe_enable = (u16)((p->gpe_enable & ~high) | ((v >> 16) & high));
	update(p);
}

static u64 smi_read(void *owner, u64 offset, unsigned size)
{
	const struct acpi_pm *p = owner;

	(void)size;
	return offset ? p->apm_status : p->apm_control;
}

static void smi_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct acpi_pm *p = owner;

	(void)size;
	if (offset) {
		p->apm_status = (u8)value;
		return;
	}
	p->apm_control = (u8)value;
	if (p->apm_control == ACPI_PM_ENABLE)
		p->pm1_control |= SCI_EN;
	else if (p->apm_control == ACPI_PM_DISABLE)
		p->pm1_control &= (u16)~SCI_EN;
	else if (p->smi_command)
		p->smi_command(p->smi_owner, p->apm_control);
	update(p);
}

static void acpi_pm_init(struct device *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	timer_init(&p->timer, acpi_pm_fire, p);
	p->io = (struct io_region){.name = "acpi-pm",
				   .base = p->io.base,
				   .len = 0x0c,
				   .min = 1,
				   .max = 4,
				   .read = pm_read,
				   .write = pm_write,
				   .owner = p};
	p->io_gpe = (struct io_region){.name = "acpi-gpe0",
				       .base = p->io_gpe.base,
				       .len = 4,
				       .min = 1,
				       .max = 4,
				       .read = gpe_read,
				       .write = gpe_write,
				       .owner = p};
	p->io_smi = (struct io_region){.name = "smi-command",
				       .base = p->io_smi.base,
				       .len = 2,
				       .min = 1,
				       .max = 1,
				       .read = smi_read,
				       .write = smi_write,
				       .owner = p};
}

static void acpi_pm_reset(struct device *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	p->pm1_status = p->pm1_enable = p->pm1_control = 0;
	p->gpe_status = p->gpe_enable = 0;
	p->apm_control = p->apm_status = 0;
	p->toggle = (timer_ticks(p) / TIMER_HALF + 1) * TIMER_HALF;
	update(p);
}

static bool acpi_pm_post_load(struct device *d)
{
	struct acpi_pm *p = (struct acpi_pm *)d;

	if (p->pm1_status & ~STATUS_BITS || p->pm1_enable & ~ENABLE_BITS ||
	    p->pm1_control & ~CONTROL_BITS || p->toggle % TIMER_HALF || !p->toggle ||
	    p->rtc_level > 1 || p->toggle > (timer_ticks(p) / TIMER_HALF + 1) * TIMER_HALF)
		return false;
	update(p);
	return true;
}

static const struct state_field acpi_pm_state[] = {
	STATE_FIELD(struct acpi_pm, pm1_status),
	STATE_FIELD(struct acpi_pm, pm1_enable),
	STATE_FIELD(struct acpi_pm, pm1_control),
	STATE_FIELD(struct acpi_pm, gpe_status),
	STATE_FIELD(struct acpi_pm, gpe_enable),
	STATE_FIELD(struct acpi_pm, gpe_level),
	STATE_FIELD(struct acpi_pm, apm_control),
	STATE_FIELD(struct acpi_pm, apm_status),
	STATE_FIELD(struct acpi_pm, rtc_level),
	STATE_FIELD(struct acpi_pm, toggle),
	STATE_END,
};

const struct device_class acpi_pm_class = {
	.name = "acpi-pm",
	.size = sizeof(struct acpi_pm),
	.state = acpi_pm_state,
	.init = acpi_pm_init,
	.reset = acpi_pm_reset,
	.post_load = acpi_pm_post_load,
};
