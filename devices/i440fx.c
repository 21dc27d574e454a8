/*
 * 82441FX host bridge. See i440fx.h.
 */
#include "base/bits.h"
#include "devices/i440fx.h"

enum pmc_reg {
	PMC_CONFIG = 0x50,
	PMC_DRAM_CONTROL = 0x57,
	PMC_PAM = 0x59, /* seven bytes */
	PMC_DRB = 0x60, /* DRAM row boundaries, eight bytes */
	PMC_SMRAM = 0x72,
};

#define SMRAM_LOCK 0x10
#define SMRAM_OPEN 0x40

/* Registers of the datasheet's table "PMC Register Map": place, bytes, default, writable bits. */
static const struct {
	u8 reg, size;
	u32 value, writable;
} registers[] = {
	{PMC_CONFIG, 2, 0x0000, 0xfe7f},
	{0x52, 1, 0x00, 0xff},	   /* DETURBO */
	{0x53, 1, 0x80, 0xff},	   /* DBC */
	{0x54, 1, 0x00, 0xff},	   /* AXC */
	{0x55, 2, 0x0000, 0xffff}, /* DRT */
	{PMC_DRAM_CONTROL, 1, 0x01, 0xff},
	{0x58, 1, 0x10, 0xff},	  /* DRAMT */
	{PMC_PAM, 1, 0x00, 0x30}, /* low half reserved */
	{PMC_PAM + 1, 4, 0, 0x33333333},
	{PMC_PAM + 5, 2, 0, 0x3333},
	{PMC_DRB, 4, 0x01010101, 0xffffffff},
	{PMC_DRB + 4, 4, 0x01010101, 0xffffffff},
	{0x68, 1, 0x00, 0xc0}, /* FDHC */
	{0x70, 1, 0x20, 0xf8}, /* MTT */
	{0x71, 1, 0x10, 0xf8}, /* CLT */
	{PMC_SMRAM, 1, 0x02, 0x78},
	{0x90, 1, 0x00, 0xff}, /* ERRCMD */
	{0x93, 1, 0x00, 0x0e}, /* TRC */
};

/* Area 0 is the 64 KiB at F0000h (high half of 59h); then 16 KiB pieces from C0000h. */
static u8 pam_attr(const struct i440fx *x, unsigned area)
{
	unsigned nibble = area + 1;

	return x->pci.config[PMC_PAM + nibble / 2] >> (4 * (nibble & 1)) & 3;
}

static void tell_pam(struct i440fx *x)
{
	for (unsigned i = 0; i < I440FX_PAM_AREAS; i++) {
		u8 attr = pam_attr(x, i);

		if (attr == x->pam_seen[i])
			continue;
		x->pam_seen[i] = attr;
		if (x->pam)
			x->pam(x->owner, i ? 0xc0000u + (i - 1) * 0x4000u : 0xf0000u,
			       i ? 0x4000 : 0x10000, attr);
	}
}

/* D_LCK is set once: from then on it and what it guards cannot be written, and D_OPEN is off. */
static void update_smram(struct i440fx *x)
{
	struct pci_device *p = &x->pci;

	if (p->config[PMC_SMRAM] & SMRAM_LOCK) {
		p->config[PMC_SMRAM] &= (u8)~SMRAM_OPEN;
		p->wmask[PMC_SMRAM] = 0;
	} else {
		p->wmask[PMC_SMRAM] = 0x78;
	}
	if (x->smram)
		x->smram(x->owner, p->config[PMC_SMRAM]);
}

static void i440fx_config_written(struct pci_device *p, unsigned reg, unsigned size)
{
	struct i440fx *x = (struct i440fx *)p;

	if (reg < PMC_PAM + 7 && reg + size > PMC_PAM)
		tell_pam(x);
	if (reg <= PMC_SMRAM && reg + size > PMC_SMRAM)
		update_smram(x);
}

static void i440fx_init(struct device *d)
{
	struct i440fx *x = (struct i440fx *)d;
	struct pci_device *p = &x->pci;

	pci_init(p, 0x8086, 0x1237, 0x060000, 0x02);
	pci_set_subsystem(p, 0x1af4, 0x1100);
	pci_set_initial(p, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	pci_set_writable(p, PCI_COMMAND, PCI_COMMAND_PARITY | PCI_COMMAND_SERR, 2);
	pci_set_initial(p, PCI_STATUS, 0x0280, 2);
	pci_set_writable(p, PCI_CACHE_LINE, 0, 1);
	pci_set_writable(p, PCI_INTERRUPT_LINE, 0, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		pci_set_initial(p, registers[i].reg, registers[i].value, registers[i].size);
		pci_set_writable(p, registers[i].reg, registers[i].writable, registers[i].size);
	}
	p->w1c[0x91] = 0x11; /* ERRSTS */
	p->config_written = i440fx_config_written;
}

/* DRBs count in 8 MiB up to the end of a row; firmware reads the amount of RAM from them. */
static void set_row_boundaries(struct i440fx *x)
{
	u64 units = x->pci.dev.env.mem ? x->pci.dev.env.mem->low >> 23 : 0;

	for (unsigned i = 0; i < 8; i++) {
		u64 row = (i + 1) * 16;
		u64 boundary = units < row || i == 7 ? units : row;

		x->pci.config[PMC_DRB + i] = (u8)(boundary > 0xff ? 0xff : boundary);
	}
}

static void i440fx_reset(struct device *d)
{
	struct i440fx *x = (struct i440fx *)d;

	pci_reset(&x->pci);
	set_row_boundaries(x);
	memset(x->pam_seen, 0xff, sizeof(x->pam_seen));
	tell_pam(x);
	update_smram(x);
}

static bool i440fx_post_load(struct device *d)
{
	struct i440fx *x = (struct i440fx *)d;

	x->pci.wmask[PMC_SMRAM] = 0x78;
	if (!pci_post_load(&x->pci))
		return false;
	memset(x->pam_seen, 0xff, sizeof(x->pam_seen));
	tell_pam(x);
	update_smram(x);
	return true;
}

static const struct state_field i440fx_state[] = {
	PCI_STATE(struct i440fx, pci),
	STATE_END,
};

const struct device_class i440fx_class = {
	.name = "i440fx",
	.size = sizeof(struct i440fx),
	.state = i440fx_state,
	.init = i440fx_init,
	.reset = i440fx_reset,
	.post_load = i440fx_post_load,
};
