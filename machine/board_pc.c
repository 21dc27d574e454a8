/*
 * The PC board: i440FX/PIIX-like, the only file that knows addresses, interrupt numbers and slots.
 * There is no firmware yet: board_reset leaves the chips as a BIOS would hand them over.
 */
#include <stdlib.h>

#include "machine/board.h"
#include "vmx/vmx.h"

static const u16 uart_port[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
static const u8 uart_irq[4] = {4, 3, 4, 3};
static const u8 pirq_irq[4] = {10, 10, 11, 11};

/* --- time --- */

static u64 clock_source(void *owner)
{
	return machine_ticks(owner) / TICKS_PER_NS;
}

/* A timer moved nearer than the running slice may end: look again after this instruction. */
static void timer_earlier(void *owner)
{
	struct machine *m = owner;

	if (m->cur) {
		m->cur->leave = true;
		m->cur->recheck = true;
	}
}

static u64 wire_tsc_now(void *owner)
{
	struct cpu_slot *s = owner;

	return s->m->cur == &s->v ? vcpu_tsc(&s->v) : s->m->ticks + (u64)s->v.tsc_offset_host;
}

static u64 wire_tsc_to_ns(void *owner, u64 tsc)
{
	struct cpu_slot *s = owner;
	u64 ticks = tsc - (u64)s->v.tsc_offset_host;

	return (ticks + TICKS_PER_NS - 1) / TICKS_PER_NS;
}

/* --- interrupts --- */

static void wake_cpu(struct machine *m, struct vcpu *v)
{
	vcpu_notify(v);
	if (m->cur && m->cur != v) { /* let the other one run soon */
		m->cur->leave = true;
		m->cur->recheck = true;
	}
}

static void lapic_changed(void *owner)
{
	struct cpu_slot *s = owner;

	wake_cpu(s->m, &s->v);
}

static void pic_output(void *owner, unsigned n, bool level)
{
	struct machine *m = owner;

	(void)n;
	(void)level;
	wake_cpu(m, &m->cpu[0]->v);
}

static void isa_irq(void *owner, unsigned n, bool level)
{
	struct machine *m = owner;

	pic_set_irq(&m->pic, n, level);
	ioapic_set_irq(&m->ioapic, n == 0 ? 2 : n, level);
}

static void legacy_irq(void *owner, unsigned n, bool level)
{
	struct machine *m = owner;

	/* While the HPET replaces them, PIT and RTC are cut off. */
	if (!(m->hpet.config & 2))
		isa_irq(m, n, level);
}

static void rtc_irq(void *owner, unsigned n, bool level)
{
	struct machine *m = owner;

	legacy_irq(m, n, level);
	acpi_pm_set_rtc(&m->pm, level);
}

static struct irq_line irq_to(struct machine *m, unsigned n)
{
	return (struct irq_line){.set = n == 0	 ? legacy_irq
					: n == 8 ? rtc_irq
						 : isa_irq,
				 .owner = m,
				 .n = n};
}

static struct irq_line pin_to(struct machine *m, unsigned pin)
{
	return (struct irq_line){.set = ioapic_set_irq, .owner = &m->ioapic, .n = pin};
}

static int intr_pending(void *owner)
{
	struct cpu_slot *s = owner;

	if (lapic_accepts_extint(&s->lapic) && pic_pending(&s->m->pic))
		return 256;
	return lapic_pending(&s->lapic);
}

static int intr_acknowledge(void *owner)
{
	struct cpu_slot *s = owner;

	if (lapic_accepts_extint(&s->lapic) && pic_pending(&s->m->pic)) {
		int vector = pic_acknowledge(&s->m->pic);

		lapic_extint_taken(&s->lapic);
		return vector;
	}
	return lapic_acknowledge(&s->lapic);
}

static bool apic_send(void *owner, const struct lapic *from, const struct apic_message *msg)
{
	struct cpu_slot *s = owner;

	return lapic_bus_send(s->m->lapics, s->m->cfg.cpus, msg, from);
}

static bool ioapic_send(void *owner, const struct apic_message *msg)
{
	struct machine *m = owner;

	return lapic_bus_send(m->lapics, m->cfg.cpus, msg, NULL);
}

static void msi_send(void *owner, u64 addr, u32 data)
{
	struct machine *m = owner;
	struct apic_message msg = lapic_msi_message(addr, data);

	lapic_bus_send(m->lapics, m->cfg.cpus, &msg, NULL);
}

static void apic_eoi(void *owner, u8 vector)
{
	struct cpu_slot *s = owner;

	ioapic_eoi(&s->m->ioapic, vector);
}

static void apic_init(void *owner)
{
	struct cpu_slot *s = owner;

	s->v.init_pending = true;
	wake_cpu(s->m, &s->v);
}

static void apic_sipi(void *owner, u8 vector)
{
	struct cpu_slot *s = owner;

	s->v.sipi_pending = true;
	s->v.sipi_vector = vector;
	wake_cpu(s->m, &s->v);
}

static void apic_nmi(void *owner)
{
	struct cpu_slot *s = owner;

	s->v.nmi_pending = true;
	wake_cpu(s->m, &s->v);
}

static void apic_smi(void *owner)
{
	struct cpu_slot *s = owner;

	s->v.smi_pending = true;
	wake_cpu(s->m, &s->v);
}

/* --- the CPU's wires --- */

static u64 get_cr8(void *owner)
{
	return lapic_get_tpr(&((struct cpu_slot *)owner)->lapic);
}

static void set_cr8(void *owner, u64 value)
{
	lapic_set_tpr(&((struct cpu_slot *)owner)->lapic, value);
}

static bool apic_read(void *owner, u32 msr, u64 *value)
{
	return lapic_msr_read(&((struct cpu_slot *)owner)->lapic, msr, value) == LAPIC_OK;
}

static bool apic_write(void *owner, u32 msr, u64 value)
{
	return lapic_msr_write(&((struct cpu_slot *)owner)->lapic, msr, value) == LAPIC_OK;
}

static void wire_pmi(void *owner)
{
	lapic_local_event(&((struct cpu_slot *)owner)->lapic, LAPIC_LVT_PERF);
}

static void apic_eoi_write(void *owner)
{
	lapic_eoi(&((struct cpu_slot *)owner)->lapic);
}

static void apic_notify(void *owner, u32 ndst, u8 vector)
{
	lapic_notify(&((struct cpu_slot *)owner)->lapic, ndst, vector);
}

/* A seeded generator: the same run gives the same numbers (splitmix64). */
static u64 random_next(struct machine *m)
{
	u64 z = m->random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 wire_random(void *owner)
{
	return random_next(((struct cpu_slot *)owner)->m);
}

static void tsc_changed(void *owner)
{
	lapic_tsc_changed(&((struct cpu_slot *)owner)->lapic);
}

static void smi_ack(void *owner, bool in_smm)
{
	(void)owner;
	(void)in_smm;
}

/* --- the local APIC pages: each CPU sees its own, where its IA32_APIC_BASE says (but never over
 * RAM, which is looked at first) --- */

static u64 apic_address(const struct lapic *l)
{
	return l->base & ~0xfffull;
}

/* The APIC of the CPU that is running, if its registers are in this page. */
static struct lapic *apic_in_page(const struct apic_page *p)
{
	struct lapic *l = p->m->lapics[p->m->cur ? p->m->cur->id : 0];

	return apic_address(l) == p->io.base ? l : NULL;
}

static u64 apic_page_read(void *owner, u64 offset, unsigned size)
{
	struct lapic *l = apic_in_page(owner);

	return l ? lapic_mmio_read(l, offset, size) : ~0ull;
}

static void apic_page_write(void *owner, u64 offset, u64 value, unsigned size)
{
	struct lapic *l = apic_in_page(owner);

	if (l)
		lapic_mmio_write(l, offset, value, size);
}

static bool apic_page_exists(const struct machine *m, u64 address)
{
	for (unsigned n = 0; n < MACHINE_MAX_CPUS; n++)
		if (m->apic_page[n].attached && m->apic_page[n].io.base == address)
			return true;
	return false;
}

static void apic_base_changed(void *owner)
{
	struct machine *m = ((struct cpu_slot *)owner)->m;

	for (unsigned n = 0; n < MACHINE_MAX_CPUS; n++) {
		if (m->apic_page[n].attached)
			bus_detach(&m->mmio, &m->apic_page[n].io);
		m->apic_page[n].attached = false;
	}
	for (unsigned n = 0; n < m->cfg.cpus; n++) {
		struct apic_page *p = &m->apic_page[n];
		u64 at = m->lapics[n] ? apic_address(m->lapics[n]) : 0;

		if (!at || apic_page_exists(m, at))
			continue;
		p->m = m;
		p->io = (struct io_region){.name = "local APIC",
					   .base = at,
					   .len = 0x1000,
					   .min = 1,
					   .max = 8,
					   .read = apic_page_read,
					   .write = apic_page_write,
					   .owner = p};
		p->attached = bus_attach(&m->mmio, &p->io);
	}
}

/* --- power, reset, panic --- */

static void sleep_request(void *owner, unsigned type)
{
	struct machine *m = owner;

	if (type == ACPI_PM_SLP_TYP_S3) {
		m->sleep_wanted = true;
		if (m->cur) {
			m->cur->leave = true;
			m->cur->recheck = true;
		}
	} else if (type == ACPI_PM_SLP_TYP_S5 && !m->cfg.no_shutdown) {
		machine_stop(m, EXIT_OK);
	}
}

static void request_reset(struct machine *m)
{
	m->reset_wanted = true;
	if (m->cur) {
		m->cur->leave = true;
		m->cur->recheck = true;
	}
}

static void reset_cpu(void *owner)
{
	request_reset(owner);
}

static void reset_control(void *owner, bool hard)
{
	(void)hard;
	request_reset(owner);
}

static void debug_exit_hook(void *owner, u32 value)
{
	machine_stop(owner, (int)((value << 1) | 1) & 0xff);
}

static void panic_event(void *owner, u8 events)
{
	struct machine *m = owner;

	if (events & PVPANIC_PANICKED)
		m->panic_seen = true;
}

/* The kernel says so on its console before it reboots: how a panic is told from a plain reboot. */
static void serial_write(void *owner, const u8 *data, size_t len)
{
	static const char text[] = "Kernel panic - not syncing";
	struct machine *m = owner;

	for (size_t k = 0; k < len; k++) {
		if (data[k] != (u8)text[m->panic_match])
			m->panic_match = 0;
		if (data[k] == (u8)text[m->panic_match] && !text[++m->panic_match]) {
			m->panic_seen = true;
			m->panic_match = 0;
		}
	}
	if (m->serial_host)
		m->serial_host->write(m->serial_host->owner, data, len);
}

static void host_receive(void *chip, const u8 *data, size_t len)
{
	struct machine *m = chip;

	if (m->serial_tap.receive)
		m->serial_tap.receive(m->serial_tap.chip, data, len);
}

static size_t host_can_receive(void *chip)
{
	struct machine *m = chip;

	return m->serial_tap.can_receive ? m->serial_tap.can_receive(m->serial_tap.chip) : 0;
}

/* --- code pages --- */

static void code_written(void *owner, u64 paddr, u64 len)
{
	struct machine *m = owner;

	if (blocks_written(m->blocks, paddr, len) && m->cur)
		m->cur->recheck = true; /* the running block may be gone: leave it */
}

/* --- building --- */

static void add(struct machine *m, struct device *d, const struct device_class *cls, const char *id)
{
	struct device_env env = {.clock = &m->clock, .log = m->log, .mem = &m->mem};

	device_setup(d, cls, &env, id);
	m->device[m->devices++] = d;
	cls->init(d);
}

static void attach(struct machine *m, struct bus *b, struct io_region *r, u64 base)
{
	r->base = base;
	if (!bus_attach(b, r))
		log_line(m->log, LOG_guest_error, "board: cannot attach %s", r->name);
}

static void build_lapic(struct cpu_slot *s, unsigned id)
{
	struct machine *m = s->m;
	static const char *const names[] = {
		"apic0", "apic1", "apic2",  "apic3",  "apic4",	"apic5",  "apic6",  "apic7",
		"apic8", "apic9", "apic10", "apic11", "apic12", "apic13", "apic14", "apic15"};

	s->lapic.wires = (struct lapic_wires){.owner = s,
					      .intr_changed = lapic_changed,
					      .init = apic_init,
					      .sipi = apic_sipi,
					      .nmi = apic_nmi,
					      .smi = apic_smi,
					      .send = apic_send,
					      .eoi = apic_eoi,
					      .base_changed = apic_base_changed,
					      .tsc_now = wire_tsc_now,
					      .tsc_to_ns = wire_tsc_to_ns};
	s->lapic.id = id;
	s->lapic.bsp = id == 0;
	s->lapic.has_x2apic = model_has(m->cfg.model, FEAT_X2APIC);
	s->lapic.has_tsc_deadline = model_has(m->cfg.model, FEAT_TSCDL);
	s->lapic.phys_bits = m->cfg.model->maxphyaddr;
	add(m, &s->lapic.device, &lapic_class, names[id]);
	m->lapics[id] = &s->lapic;
}

static bool build_cpu(struct machine *m, unsigned id)
{
	struct cpu_slot *s = calloc(1, sizeof(*s));

	if (!s)
		return false;
	m->cpu[id] = s;
	s->m = m;
	s->wires = (struct cpu_wires){.owner = s,
				      .intr_pending = intr_pending,
				      .intr_acknowledge = intr_acknowledge,
				      .get_cr8 = get_cr8,
				      .set_cr8 = set_cr8,
				      .apic_read = apic_read,
				      .apic_write = apic_write,
				      .apic_eoi = apic_eoi_write,
				      .apic_notify = apic_notify,
				      .random = wire_random,
				      .tsc_changed = tsc_changed,
				      .smi_ack = smi_ack,
				      .pmi = wire_pmi};
	build_lapic(s, id);
	return vcpu_init(&s->v, id, m->cfg.model, &m->mem, &m->mmio, &m->pio, m->log, &s->wires,
			 m->blocks, m->decoder);
}

static void build_interrupts(struct machine *m)
{
	m->pic.intr = (struct irq_line){.set = pic_output, .owner = m};
	add(m, &m->pic.device, &pic_class, "pic");
	attach(m, &m->pio, &m->pic.io_master, 0x20);
	attach(m, &m->pio, &m->pic.io_slave, 0xa0);
	attach(m, &m->pio, &m->pic.io_elcr, 0x4d0);
	m->ioapic.send = ioapic_send;
	m->ioapic.send_owner = m;
	m->ioapic.initial_id = 0;
	add(m, &m->ioapic.device, &ioapic_class, "ioapic");
	attach(m, &m->mmio, &m->ioapic.io, 0xfec00000);
}

static void build_timers(struct machine *m)
{
	m->pit.out0 = irq_to(m, 0);
	add(m, &m->pit.device, &pit_class, "pit");
	attach(m, &m->pio, &m->pit.io, 0x40);
	attach(m, &m->pio, &m->pit.io_port61, 0x61);
	m->rtc.irq = irq_to(m, 8);
	m->rtc.start_epoch = m->cfg.epoch;
	add(m, &m->rtc.device, &rtc_class, "rtc");
	attach(m, &m->pio, &m->rtc.io, 0x70);
	for (unsigned n = 0; n < 24; n++)
		m->hpet.route[n] = pin_to(m, n);
	m->hpet.legacy[0] = (struct irq_line){.set = isa_irq, .owner = m, .n = 0};
	m->hpet.legacy[1] = (struct irq_line){.set = isa_irq, .owner = m, .n = 8};
	add(m, &m->hpet.device, &hpet_class, "hpet");
	attach(m, &m->mmio, &m->hpet.io, 0xfed00000);
	m->pm.sci = irq_to(m, SCI_IRQ);
	m->pm.sleep = sleep_request;
	m->pm.sleep_owner = m;
	add(m, &m->pm.device, &acpi_pm_class, "acpi_pm");
	attach(m, &m->pio, &m->pm.io, PM_BASE);
	attach(m, &m->pio, &m->pm.io_gpe, GPE_BASE);
	attach(m, &m->pio, &m->pm.io_smi, 0xb2);
}

static void build_serial(struct machine *m)
{
	static const char *const names[] = {"serial0", "serial1", "serial2", "serial3"};

	m->serial_host = m->cfg.serial[0];
	m->serial_tap = (struct host_chardev){.write = serial_write, .owner = m};
	if (m->serial_host) {
		m->serial_host->receive = host_receive;
		m->serial_host->can_receive = host_can_receive;
		m->serial_host->chip = m;
	}
	for (unsigned n = 0; n < 4; n++) {
		if (n && !m->cfg.serial[n])
			continue;
		m->uart[n].irq = irq_to(m, uart_irq[n]);
		m->uart[n].host = n ? m->cfg.serial[n] : &m->serial_tap;
		add(m, &m->uart[n].device, &uart_class, names[n]);
		attach(m, &m->pio, &m->uart[n].io, uart_port[n]);
	}
	m->debugcon.host = m->cfg.debugcon;
	add(m, &m->debugcon.device, &debugcon_class, "debugcon");
	attach(m, &m->pio, &m->debugcon.io, 0xe9);
}

static void build_testdev(struct machine *m)
{
	for (unsigned n = 0; n < TESTDEV_LINES; n++)
		m->testdev.line[n] = n < 16 ? irq_to(m, n) : pin_to(m, n);
	add(m, &m->testdev.device, &testdev_class, "pc-testdev");
	attach(m, &m->pio, &m->testdev.io_latch, 0xe0);
	attach(m, &m->pio, &m->testdev.io_flush, 0xe4);
	attach(m, &m->pio, &m->testdev.io_lines, 0x2000);
	attach(m, &m->mmio, &m->testdev.io_memory, 0xff000000);
}

static void build_misc(struct machine *m)
{
	m->i8042.irq_keyboard = irq_to(m, 1);
	m->i8042.irq_mouse = irq_to(m, 12);
	m->i8042.reset_cpu = reset_cpu;
	m->i8042.reset_owner = m;
	add(m, &m->i8042.device, &i8042_class, "i8042");
	attach(m, &m->pio, &m->i8042.io_data, 0x60);
	attach(m, &m->pio, &m->i8042.io_command, 0x64);
	m->port92.reset_cpu = reset_cpu;
	m->port92.reset_owner = m;
	add(m, &m->port92.device, &port92_class, "port92");
	attach(m, &m->pio, &m->port92.io, 0x92);
	add(m, &m->fwcfg.device, &fwcfg_class, "fw_cfg");
	attach(m, &m->pio, &m->fwcfg.io, 0x510);
	fwcfg_add(&m->fwcfg, FWCFG_RAM_SIZE, m->cfg.ram, 8);
	fwcfg_add(&m->fwcfg, FWCFG_NB_CPUS, m->cfg.cpus, 2);
	fwcfg_add(&m->fwcfg, FWCFG_MAX_CPUS, m->cfg.cpus, 2);
	m->pvpanic.event = panic_event;
	m->pvpanic.owner = m;
	add(m, &m->pvpanic.dev, &pvpanic_class, "pvpanic");
	attach(m, &m->pio, &m->pvpanic.region, PVPANIC_PORT);
	if (m->cfg.debug_exit_base) {
		m->debug_exit.exit = debug_exit_hook;
		m->debug_exit.exit_owner = m;
		m->debug_exit.iosize = m->cfg.debug_exit_size;
		add(m, &m->debug_exit.device, &debug_exit_class, "isa-debug-exit");
		attach(m, &m->pio, &m->debug_exit.io, m->cfg.debug_exit_base);
	}
	if (m->cfg.testdev)
		build_testdev(m);
}

static bool plug(struct machine *m, struct pci_device *p, const struct device_class *cls,
		 const char *id, unsigned slot, unsigned fn)
{
	struct device_env env = {.clock = &m->clock, .log = m->log, .mem = &m->mem};

	device_setup(&p->dev, cls, &env, id);
	m->device[m->devices++] = &p->dev;
	return pci_plug(&m->pci, p, PCI_DEVFN(slot, fn));
}

static bool build_drives(struct machine *m, unsigned *slot)
{
	static const char *const names[] = {"drive0", "drive1", "drive2", "drive3",
					    "drive4", "drive5", "drive6", "drive7"};

	for (unsigned n = 0; n < m->cfg.drives; n++) {
		const struct drive *d = &m->cfg.drive[n];
		bool ok;

		if (d->kind == DRIVE_NVME) {
			m->nvme[n] = calloc(1, sizeof(struct nvme));
			if (!m->nvme[n])
				return false;
			m->nvme[n]->block = d->block;
			m->nvme[n]->serial = d->serial;
			ok = plug(m, &m->nvme[n]->pci, &nvme_class, names[n], (*slot)++, 0);
		} else {
			m->vblk[n] = calloc(1, sizeof(struct virtio_blk));
			if (!m->vblk[n])
				return false;
			m->vblk[n]->block = d->block;
			m->vblk[n]->serial = d->serial;
			ok = plug(m, &m->vblk[n]->vpci.pci, &virtio_blk_class, names[n], (*slot)++,
				  0);
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool build_pci(struct machine *m)
{
	unsigned slot = 3;

	m->pci.mem = &m->mmio;
	m->pci.io = &m->pio;
	m->pci.msi = (struct msi_sink){.send = msi_send, .owner = m};
	for (unsigned n = 0; n < PCI_PINS; n++)
		m->pci.pirq[n] =
			(struct irq_line){.set = piix3_set_pirq, .owner = &m->piix3, .n = n};
	add(m, &m->pci.dev, &pci_bus_class, "pci");
	for (unsigned n = 0; n < 16; n++)
		m->piix3.irq[n] = (struct irq_line){.set = pic_set_irq, .owner = &m->pic, .n = n};
	for (unsigned n = 0; n < PCI_PINS; n++)
		m->piix3.ioapic[n] = pin_to(m, 16 + n);
	m->piix3.reset = reset_control;
	m->piix3.reset_owner = m;
	if (!plug(m, &m->i440fx.pci, &i440fx_class, "i440fx", 0, 0) ||
	    !plug(m, &m->piix3.pci, &piix3_class, "piix3", 1, 0) ||
	    !plug(m, &m->piix4_pm.pci, &piix4_pm_class, "piix4-pm", 1, 3))
		return false;
	if (m->cfg.console) {
		m->console.chr = m->cfg.console;
		if (!plug(m, &m->console.vpci.pci, &virtio_console_class, "virtio-console", slot++,
			  0))
			return false;
	}
	if (m->cfg.rng) {
		m->rng.entropy = m->cfg.entropy;
		if (!plug(m, &m->rng.vpci.pci, &virtio_rng_class, "virtio-rng", slot++, 0))
			return false;
	}
	return build_drives(m, &slot);
}

bool board_build(struct machine *m, char *err, size_t errlen)
{
	m->clock = (struct clock){.now = clock_source, .earlier = timer_earlier, .owner = m};
	m->random_state = 0x676967676e65ull;
	bus_init(&m->mmio, "memory", m->log);
	bus_init(&m->pio, "port", m->log);
	if (!physmem_init(&m->mem, m->cfg.ram)) {
		snprintf(err, errlen, "cannot reserve %llu MiB of memory",
			 (unsigned long long)(m->cfg.ram >> 20));
		return false;
	}
	m->mem.code_written = code_written;
	m->mem.code_owner = m;
	m->blocks = blocks_new(&m->mem);
	m->decoder = decoder_new(m->cfg.model);
	snprintf(err, errlen, "out of memory");
	if (!m->blocks || !m->decoder)
		return false;
	for (unsigned id = 0; id < m->cfg.cpus; id++)
		if (!build_cpu(m, id))
			return false;
	build_interrupts(m);
	build_timers(m);
	build_serial(m);
	build_misc(m);
	return build_pci(m);
}

void board_free(struct machine *m)
{
	for (unsigned n = 0; n < MACHINE_MAX_CPUS; n++)
		if (m->cpu[n]) {
			vcpu_free(&m->cpu[n]->v);
			free(m->cpu[n]);
		}
	for (unsigned n = 0; n < MACHINE_MAX_DRIVES; n++) {
		free(m->nvme[n]);
		free(m->vblk[n]);
	}
	if (m->blocks)
		blocks_free(m->blocks);
	decoder_free(m->decoder);
	physmem_free(&m->mem);
}

/* What firmware leaves behind on every CPU: VMX enabled and locked, caches on, MTRRs all write-back
 * but for the hole below 4 GiB. */
static void firmware_cpu(struct machine *m, struct vcpu *v)
{
	if (model_has(m->cfg.model, FEAT_VMX))
		vmx_msr_write(v, 0x3a, 5);
	v->mtrr_def = 0xc06;
	for (unsigned n = 0; n < ARRAY_SIZE(v->mtrr_fixed); n++)
		v->mtrr_fixed[n] = n == 2 ? 0 : 0x0606060606060606ull;
	v->mtrr_base[0] = 0xc0000000;
	v->mtrr_mask[0] = (v->phys_mask & ~0x3fffffffull) | BIT(11);
}

/* The interrupt controllers in AT mode with timer, keyboard, cascade and floppy (and RTC, mouse, FPU,
 * disk behind the cascade) unmasked, and the 18.2 Hz tick. */
static void firmware_legacy(struct machine *m)
{
	static const struct {
		u16 port;
		u8 value;
	} writes[] = {
		{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xb8},
		{0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0x8e},
		{0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},
	};

	for (unsigned n = 0; n < ARRAY_SIZE(writes); n++)
		bus_write(&m->pio, writes[n].port, writes[n].value, 1);
}

static void reset_chips(struct machine *m, bool asleep)
{
	for (unsigned n = 0; n < m->devices; n++) {
		struct device *d = m->device[n];

		if (!asleep || (d != &m->rtc.device && d != &m->pm.device))
			d->cls->reset(d);
	}
	for (unsigned n = 0; n < m->cfg.cpus; n++)
		vcpu_reset(&m->cpu[n]->v, false);
}

static void firmware(struct machine *m)
{
	struct pci_window w = {.mem_base = PCI_MEM_BASE,
			       .mem_end = PCI_MEM_END,
			       .io_base = 0xc000,
			       .io_end = 0xff00};

	for (unsigned n = 0; n < m->cfg.cpus; n++)
		firmware_cpu(m, &m->cpu[n]->v);
	firmware_legacy(m);
	lapic_set_virtual_wire(&m->cpu[0]->lapic);
	memcpy(w.irq, pirq_irq, sizeof(w.irq));
	piix3_set_routes(&m->piix3, pirq_irq);
	pci_assign_resources(&m->pci, &w);
	m->panic_match = 0;
}

void board_reset(struct machine *m)
{
	reset_chips(m, false);
	firmware(m);
}

void board_suspend(struct machine *m)
{
	acpi_pm_suspend(&m->pm);
	reset_chips(m, true);
}

void board_resume(struct machine *m)
{
	firmware(m);
	acpi_pm_resume(&m->pm);
}
