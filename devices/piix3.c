/*
 * PIIX3 ISA bridge and PIIX4 power management function. See piix3.h.
 */
#include "base/bits.h"
#include "devices/piix3.h"

enum piix_reg {
	PIIX_PIRQRCA = 0x60, /* A..D: bit 7 routing disabled, bits 3:0 interrupt */
	PIIX4_PMBA = 0x40,
	PIIX4_PMREGMISC = 0x80,
};

#define PIRQ_DISABLED 0x80
#define RCR_HARD 2
#define RCR_RESET 4
#define PMREGMISC_PMIOSE 1
/* Interrupts that PIRQRC may name: 3-7, 9-12, 14 and 15. */
#define ROUTABLE 0xdef8u

/* Place, bytes, default, writable bits. */
struct reg_row {
	u8 reg, size;
	u32 value, writable;
};

static const struct reg_row isa_registers[] = {
	{0x4c, 1, 0x4d, 0xff},	   /* IORT */
	{0x4e, 2, 0x0003, 0x07ff}, /* XBCS */
	{0x60, 4, 0x80808080, 0x8f8f8f8f},
	{0x69, 1, 0x02, 0xfe},		   /* TOM */
	{0x6a, 2, 0x0000, 0x0010},	   /* MSTAT */
	{0x70, 1, 0x80, 0xef},		   /* MBIRQ0 */
	{0x76, 2, 0x0c0c, 0x8f8f},	   /* MBDMA0, 1 */
	{0x78, 2, 0x0002, 0xfffe},	   /* PCSC */
	{0x80, 1, 0x00, 0x7f},		   /* APICBASE */
	{0x82, 1, 0x00, 0x0f},		   /* DLC */
	{0xa0, 1, 0x08, 0x1f},		   /* SMICNTL */
	{0xa2, 2, 0x0000, 0x00ff},	   /* SMIEN */
	{0xa4, 4, 0x00000000, 0xe000ffff}, /* SEE */
	{0xa8, 1, 0x0f, 0xff},		   /* FTMR */
	{0xaa, 2, 0x0000, 0x00ff},	   /* SMIREQ */
	{0xac, 1, 0x00, 0xff},		   /* CTLTMR */
	{0xae, 1, 0x00, 0xff},		   /* CTHTMR */
};

static const struct reg_row pm_registers[] = {
	{PIIX4_PMBA, 4, 0x00000001, 0x0000ffc0},
	{0x44, 4, 0, 0xffffffff}, /* CNTA */
	{0x48, 4, 0, 0xffffffff}, /* CNTB */
	{0x4c, 4, 0, 0xffffffff}, /* GPICTL */
	{0x50, 4, 0, 0x00ffffff}, /* DEVRESD */
	{0x54, 4, 0, 0xffffffff}, /* DEVACTA */
	{0x58, 4, 0, 0xffffffff}, /* DEVACTB */
	{0x5c, 4, 0, 0xffffffff}, /* DEVRESA */
	{0x60, 4, 0, 0xffffffff}, /* DEVRESB */
	{0x64, 4, 0, 0xffffffff}, /* DEVRESC */
	{0x68, 4, 0, 0xffffffff}, /* DEVRESE */
	{0x6c, 4, 0, 0xffffffff}, /* DEVRESF */
	{0x70, 4, 0, 0xffffffff}, /* DEVRESG */
	{0x74, 4, 0, 0xffffffff}, /* DEVRESH */
	{0x78, 4, 0, 0xffffffff}, /* DEVRESI */
	{0x7c, 4, 0, 0xffffffff}, /* DEVRESJ */
	{PIIX4_PMREGMISC, 1, 0, 0x01},
	{0x90, 4, 0x00000001, 0x0000fff0}, /* SMBBA */
	{0xd2, 4, 0, 0x0000ff0f},	   /* SMBHSTCFG, SMBSLVC */
	{0xd6, 1, 0, 0x00},		   /* SMBREV */
};

static void add_registers(struct pci_device *p, const struct reg_row *row, size_t rows)
{
	for (size_t i = 0; i < rows; i++) {
		pci_set_initial(p, row[i].reg, row[i].value, row[i].size);
		pci_set_writable(p, row[i].reg, row[i].writable, row[i].size);
	}
}

/* Function 0 */

/* The interrupt a PIRQ goes to, or 0. */
static unsigned route(const struct piix3 *x, unsigned pirq)
{
	u8 rc = x->pci.config[PIIX_PIRQRCA + pirq];

	return (rc & PIRQ_DISABLED) || !(ROUTABLE >> (rc & 15) & 1) ? 0 : rc & 15;
}

static void update_irqs(struct piix3 *x)
{
	u16 now = 0;

	for (unsigned n = 0; n < PCI_PINS; n++)
		if (x->pirq_level >> n & 1)
			now |= (u16)(1u << route(x, n));
	now &= (u16)ROUTABLE;
	for (unsigned irq = 0; irq < 16; irq++) {
		if (!((now ^ x->irq_level) >> irq & 1))
			continue;
		x->irq_level ^= (u16)(1u << irq);
		irq_set(&x->irq[irq], now >> irq & 1);
	}
}

void piix3_set_pirq(void *owner, unsigned n, bool level)
{
	struct piix3 *x = owner;

	n %= PCI_PINS;
	if ((x->pirq_level >> n & 1) == level)
		return;
	x->pirq_level ^= (u8)(1u << n);
	irq_set(&x->ioapic[n], level);
	update_irqs(x);
}

void piix3_set_routes(struct piix3 *x, const u8 irq[PCI_PINS])
{
	for (unsigned n = 0; n < PCI_PINS; n++)
		pci_config_write(&x->pci, PIIX_PIRQRCA + n, irq[n] ? irq[n] : PIRQ_DISABLED, 1);
}

u8 piix3_cf9_read(void *owner)
{
	return ((struct piix3 *)owner)->rcr;
}

/* A reset happens when RCPU goes from 0 to 1; SRST says which. */
void piix3_cf9_write(void *owner, u8 value)
{
	struct piix3 *x = owner;
	bool rises = (value & RCR_RESET) && !(x->rcr & RCR_RESET);

	x->rcr = value & (RCR_HARD | RCR_RESET);
	if (rises && x->reset)
		x->reset(x->reset_owner, value & RCR_HARD);
}

static void piix3_config_written(struct pci_device *p, unsigned reg, unsigned size)
{
	if (reg < PIIX_PIRQRCA + PCI_PINS && reg + size > PIIX_PIRQRCA)
		update_irqs((struct piix3 *)p);
}

static void piix3_init(struct device *d)
{
	struct piix3 *x = (struct piix3 *)d;
	struct pci_device *p = &x->pci;

	pci_init(p, 0x8086, 0x7000, 0x060100, 0x00);
	pci_set_subsystem(p, 0x1af4, 0x1100);
	pci_set_initial(p, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
			2);
	pci_set_writable(p, PCI_COMMAND, PCI_COMMAND_SERR | 1 << 3, 2);
	pci_set_initial(p, PCI_STATUS, 0x0200, 2);
	pci_set_initial(p, PCI_HEADER_TYPE, 0x80, 1);
	pci_set_writable(p, PCI_CACHE_LINE, 0, 2);
	pci_set_writable(p, PCI_INTERRUPT_LINE, 0, 1);
	add_registers(p, isa_registers, ARRAY_SIZE(isa_registers));
	p->w1c[0x6b] = 0x80; /* MSTAT: SERR# due to delayed transaction time-out */
	p->config_written = piix3_config_written;
	p->bus->cf9_read = piix3_cf9_read;
	p->bus->cf9_write = piix3_cf9_write;
	p->bus->cf9_owner = x;
}

/* PIRQ levels are wires driven by others, who reset on their own. */
static void piix3_reset(struct device *d)
{
	struct piix3 *x = (struct piix3 *)d;

	pci_reset(&x->pci);
	x->rcr = 0;
	update_irqs(x);
}

static bool piix3_post_load(struct device *d)
{
	struct piix3 *x = (struct piix3 *)d;

	return !(x->pirq_level >> PCI_PINS) && !(x->irq_level & ~ROUTABLE) &&
	       !(x->rcr & ~(RCR_HARD | RCR_RESET)) && pci_post_load(&x->pci);
}

static const struct state_field piix3_state[] = {
	PCI_STATE(struct piix3, pci),
	STATE_FIELD(struct piix3, pirq_level),
	STATE_FIELD(struct piix3, irq_level),
	STATE_FIELD(struct piix3, rcr),
	STATE_END,
};

const struct device_class piix3_class = {
	.name = "piix3",
	.size = sizeof(struct piix3),
	.state = piix3_state,
	.init = piix3_init,
	.reset = piix3_reset,
	.post_load = piix3_post_load,
};

/* Function 3 */

static void tell_decode(struct piix4_pm *x)
{
	const u8 *c = x->pci.config;

	if (x->decode)
		x->decode(x->owner, load_le16(&c[PIIX4_PMBA]) & 0xffc0,
			  c[PIIX4_PMREGMISC] & PMREGMISC_PMIOSE);
}

static void pm_config_written(struct pci_device *p, unsigned reg, unsigned size)
{
	if ((reg < PIIX4_PMBA + 4 && reg + size > PIIX4_PMBA) ||
	    (reg <= PIIX4_PMREGMISC && reg + size > PIIX4_PMREGMISC))
		tell_decode((struct piix4_pm *)p);
}

static void pm_init(struct device *d)
{
	struct pci_device *p = &((struct piix4_pm *)d)->pci;

	pci_init(p, 0x8086, 0x7113, 0x068000, 0x03);
	pci_set_subsystem(p, 0x1af4, 0x1100);
	pci_set_writable(p, PCI_COMMAND, PCI_COMMAND_IO, 2);
	pci_set_initial(p, PCI_STATUS, 0x0280, 2);
	pci_set_pin(p, 1);
	add_registers(p, pm_registers, ARRAY_SIZE(pm_registers));
	p->fixed_line = 9; /* the SCI */
	p->config_written = pm_config_written;
}

/* The block is where firmware would put it: a guest booted directly finds it there. */
static void pm_reset(struct device *d)
{
	struct piix4_pm *x = (struct piix4_pm *)d;

	pci_reset(&x->pci);
	store_le16(&x->pci.config[PIIX4_PMBA], PIIX4_PM_DEFAULT_BASE | 1);
	x->pci.config[PIIX4_PMREGMISC] = PMREGMISC_PMIOSE;
	x->pci.config[PCI_COMMAND] |= PCI_COMMAND_IO;
	tell_decode(x);
}

static bool pm_post_load(struct device *d)
{
	struct piix4_pm *x = (struct piix4_pm *)d;

	if (!pci_post_load(&x->pci))
		return false;
	tell_decode(x);
	return true;
}

static const struct state_field pm_state[] = {
	PCI_STATE(struct piix4_pm, pci),
	STATE_END,
};

const struct device_class piix4_pm_class = {
	.name = "piix4-pm",
	.size = sizeof(struct piix4_pm),
	.state = pm_state,
	.init = pm_init,
	.reset = pm_reset,
	.post_load = pm_post_load,
};
