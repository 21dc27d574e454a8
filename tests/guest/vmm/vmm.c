// A small virtual machine monitor on /dev/kvm that boots a 64-bit Linux: the program that makes
// the next level when guests are nested.
//
//   vmm -k KERNEL [-i INITRD] [-m MEGABYTES] [-c VCPUS] [-e] [-s] [COMMAND LINE]
//   vmm -t NAME
//
// Interrupt controllers and timer are KVM's own, CPUID is what KVM says it supports, with nested
// VMX when the host's KVM has it. The serial port is standard input and output; Ctrl-] leaves when
// it is a terminal. -e prints what the guest writes to port E9h, -s counts of VM exits to here at
// the end. -t runs a tiny guest of tiny.S. Exit status: 0 powered off, 2 reset, 3 shutdown (triple fault), 4 error reported by
// KVM, 1 anything wrong on this side. See the "KVM API" document of Linux. Left out: disks,
// network, PCI, memory beyond 3 GiB, migration.

#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

enum {
	MAX_CPUID = 256,
	MAX_MEGABYTES = 3072,
	TSS_BASE = 0xfffbd000,
	IDENTITY_MAP_BASE = 0xfffbc000,
	KEY_LEAVE = 0x1d,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	TINY_MEMORY = 4 << 20,
};

struct vmm {
	int kvm, vm;
	struct ram ram;
	struct start start;
	struct devices devices;
	struct kvm_cpuid2 *cpuid;
	struct termios terminal;
	bool has_terminal, statistics;
	_Atomic uint64_t exits_io, exits_mmio, exits_other;
	pthread_mutex_t stop_lock;
};

struct vcpu {
	struct vmm *vmm;
	struct kvm_run *run;
	int fd, id;
};

// Ends the process for whichever thread comes first; the others stay out of the way.
static void stop(void *context, int status)
{
	struct vmm *m = context;

	pthread_mutex_lock(&m->stop_lock);
	if (m->has_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &m->terminal);
	if (m->statistics) {
		fprintf(stderr,
			"vmm: exits: io %llu, mmio %llu, other %llu; bench: out %llu, mmio %llu\n",
			(unsigned long long)m->exits_io, (unsigned long long)m->exits_mmio,
			(unsigned long long)m->exits_other,
			(unsigned long long)m->devices.bench_out,
			(unsigned long long)m->devices.bench_mmio);
	}
	fflush(NULL);
	_exit(status);
}

static void fail(struct vmm *m, const char *what)
{
	fprintf(stderr, "vmm: %s: %s\n", what, strerror(errno));
	stop(m, END_HOST_ERROR);
}

// An ioctl that must work; the name is for the message.
static int must(struct vmm *m, int fd, unsigned long request, void *argument, const char *name)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		fail(m, name);
	return result;
}

#define MUST(m, fd, request, argument) must(m, fd, request, (void *)(uintptr_t)(argument), #request)

static void print_state(int fd)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(fd, KVM_GET_REGS, &r) != 0 || ioctl(fd, KVM_GET_SREGS, &s) != 0)
		return;
	fprintf(stderr, "vmm: rip %llx rsp %llx rflags %llx rax %llx rbx %llx rcx %llx rdx %llx\n",
		r.rip, r.rsp, r.rflags, r.rax, r.rbx, r.rcx, r.rdx);
	fprintf(stderr, "vmm: cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x base %llx\n",
		s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.cs.selector, s.cs.base);
}

static void kvm_error(struct vcpu *v, const char *what)
{
	struct kvm_run *run = v->run;

	fprintf(stderr, "vmm: vcpu %d: %s (exit reason %u)\n", v->id, what, run->exit_reason);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		fprintf(stderr, "vmm: hardware entry failure reason %llx\n",
			run->fail_entry.hardware_entry_failure_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		fprintf(stderr, "vmm: suberror %u data", run->internal.suberror);
		for (unsigned i = 0; i < run->internal.ndata && i < 16; i++)
			fprintf(stderr, " %llx", run->internal.data[i]);
		fputc('\n', stderr);
	}
	print_state(v->fd);
	stop(v->vmm, END_KVM_ERROR);
}

static void handle_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, run->io.size);
			devices_port_out(&v->vmm->devices, run->io.port, value, run->io.size);
		} else {
			value = devices_port_in(&v->vmm->devices, run->io.port, run->io.size);
			memcpy(data, &value, run->io.size);
		}
	}
}

static void handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	struct vmm *m = v->vmm;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		m->exits_io++;
		handle_io(v);
		return;
	case KVM_EXIT_MMIO:
		m->exits_mmio++;
		devices_mmio(&m->devices, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data,
			     run->mmio.len);
		return;
	case KVM_EXIT_SHUTDOWN:
		fprintf(stderr, "vmm: vcpu %d: shutdown (triple fault)\n", v->id);
		print_state(v->fd);
		stop(m, END_SHUTDOWN);
		return;
	case KVM_EXIT_FAIL_ENTRY:
		kvm_error(v, "VM entry failed");
		return;
	case KVM_EXIT_INTERNAL_ERROR:
		kvm_error(v, "KVM internal error");
		return;
	case KVM_EXIT_INTR:
		m->exits_other++;
		return;
	default:
		kvm_error(v, "unexpected exit");
	}
}

static void *run_vcpu(void *context)
{
	struct vcpu *v = context;

	for (;;) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0)
			handle_exit(v);
		else if (errno != EINTR && errno != EAGAIN)
			fail(v->vmm, "KVM_RUN");
	}
	return NULL;
}

static void *run_keyboard(void *context)
{
	struct vmm *m = context;
	uint8_t byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (m->has_terminal && byte == KEY_LEAVE)
			stop(m, END_HOST_ERROR);
		devices_type(&m->devices, byte);
	}
	return NULL;
}

static void open_terminal(struct vmm *m)
{
	struct termios raw;

	m->has_terminal = tcgetattr(STDIN_FILENO, &m->terminal) == 0;
	if (!m->has_terminal)
		return;
	raw = m->terminal;
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void set_segment(struct kvm_segment *s, uint16_t selector, bool code)
{
	*s = (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = code ? 0xb : 3,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !code,
		.l = code,
	};
}

// The state "64-bit Boot Protocol" asks for: long mode, flat segments, RSI at the zero page.
static void set_entry_state(struct vcpu *v)
{
	struct kvm_regs r = {.rflags = 2, .rip = v->vmm->start.entry, .rsi = ZERO_PAGE_BASE};
	struct kvm_sregs s;

	MUST(v->vmm, v->fd, KVM_GET_SREGS, &s);
	set_segment(&s.cs, CODE_SELECTOR, true);
	set_segment(&s.ds, DATA_SELECTOR, false);
	s.es = s.ss = s.fs = s.gs = s.ds;
	s.gdt.base = GDT_BASE;
	s.gdt.limit = DATA_SELECTOR + 7;
	s.cr0 = 0x80000001;
	s.cr3 = PML4_BASE;
	s.cr4 = 0x20;
	s.efer = 0x500;
	MUST(v->vmm, v->fd, KVM_SET_SREGS, &s);
	MUST(v->vmm, v->fd, KVM_SET_REGS, &r);
}

// As after RESET, but at the guest's entry.
static void set_tiny_state(struct vcpu *v)
{
	const uint8_t *entry = v->vmm->start.tiny->entry;
	struct kvm_regs r = {.rflags = 2, .rip = tiny_address(entry)};
	struct kvm_sregs s;

	MUST(v->vmm, v->fd, KVM_GET_SREGS, &s);
	s.cs.selector = 0;
	s.cs.base = 0;
	MUST(v->vmm, v->fd, KVM_SET_SREGS, &s);
	MUST(v->vmm, v->fd, KVM_SET_REGS, &r);
}

static void set_cpuid(struct vcpu *v)
{
	struct kvm_cpuid2 *cpuid = v->vmm->cpuid;
	bool deadline = ioctl(v->vmm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	uint32_t id = (uint32_t)v->id;

	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1) {
			e->ebx = (e->ebx & 0xffff) | id << 24 | (uint32_t)v->vmm->start.vcpus << 16;
			e->ecx |= 1U << 31 | (deadline ? 1U << 24 : 0);
		} else if (e->function == 0xb || e->function == 0x1f) {
			e->edx = id;
		}
	}
	MUST(v->vmm, v->fd, KVM_SET_CPUID2, cpuid);
}

static void set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.list = {.nmsrs = 1}};

	one.list.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
	MUST(v->vmm, v->fd, KVM_SET_MSRS, &one);
}

// What firmware leaves behind: fast strings on, all memory write-back.
static void set_msrs(struct vcpu *v)
{
	set_msr(v, MSR_MISC_ENABLE, 1);
	set_msr(v, MSR_MTRR_DEF_TYPE, 0x806);
}

static void get_cpuid(struct vmm *m)
{
	m->cpuid = calloc(1, sizeof(*m->cpuid) + MAX_CPUID * sizeof(m->cpuid->entries[0]));
	if (!m->cpuid)
		fail(m, "calloc");
	m->cpuid->nent = MAX_CPUID;
	MUST(m, m->kvm, KVM_GET_SUPPORTED_CPUID, m->cpuid);
}

static void make_vm(struct vmm *m)
{
	uint64_t identity = IDENTITY_MAP_BASE;
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	struct kvm_userspace_memory_region region = {
		.memory_size = m->ram.size,
		.userspace_addr = (uintptr_t)m->ram.base,
	};

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm < 0)
		fail(m, "/dev/kvm");
	if (MUST(m, m->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		errno = ENOTSUP;
		fail(m, "KVM API version");
	}
	get_cpuid(m);
	m->vm = m->devices.vm = MUST(m, m->kvm, KVM_CREATE_VM, 0);
	MUST(m, m->vm, KVM_SET_TSS_ADDR, (uint32_t)TSS_BASE);
	MUST(m, m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	MUST(m, m->vm, KVM_CREATE_IRQCHIP, 0);
	MUST(m, m->vm, KVM_CREATE_PIT2, &pit);
	MUST(m, m->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void make_vcpu(struct vmm *m, struct vcpu *v, int id)
{
	int size = MUST(m, m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	v->vmm = m;
	v->id = id;
	v->fd = MUST(m, m->vm, KVM_CREATE_VCPU, id);
	v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		fail(m, "mmap of the vcpu");
	set_cpuid(v);
	set_msrs(v);
	if (m->start.tiny)
		set_tiny_state(v);
	else if (id == 0)
		set_entry_state(v);
}

static int usage(void)
{
	fputs("usage: vmm -k KERNEL [-i INITRD] [-m MEGABYTES] [-c VCPUS] [-e] [-s] "
	      "[COMMAND LINE]\n"
	      "       vmm -t NAME\n",
	      stderr);
	return END_HOST_ERROR;
}

static bool parse(struct vmm *m, int argc, char **argv)
{
	long megabytes = 256, vcpus = 1;
	int option;

	while ((option = getopt(argc, argv, "k:i:m:c:est:")) != -1) {
		switch (option) {
		case 'k':
			m->start.kernel = optarg;
			break;
		case 'i':
			m->start.initrd = optarg;
			break;
		case 'm':
			megabytes = strtol(optarg, NULL, 10);
			break;
		case 'c':
			vcpus = strtol(optarg, NULL, 10);
			break;
		case 'e':
			m->devices.debug_port = true;
			break;
		case 's':
			m->statistics = true;
			break;
		case 't':
			m->start.tiny = m->devices.tiny.guest = tiny_find(optarg);
			break;
		default:
			return false;
		}
	}
	m->start.command_line = optind < argc ? argv[optind] : "console=ttyS0";
	m->start.vcpus = (int)vcpus;
	m->ram.size = m->start.tiny ? TINY_MEMORY : (uint64_t)megabytes << 20;
	return !m->start.kernel == (m->start.tiny != NULL) && optind + 1 >= argc && vcpus >= 1 &&
	       vcpus <= MAX_VCPUS && megabytes >= 32 && megabytes <= MAX_MEGABYTES;
}

static void start_thread(struct vmm *m, void *(*function)(void *), void *context)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, function, context);
	if (errno != 0)
		fail(m, "pthread_create");
}

static bool load(struct vmm *m)
{
	const char *wrong = NULL;

	if (m->start.tiny)
		tiny_load(m->ram.base);
	else
		wrong = boot_load(&m->ram, &m->start);
	if (wrong)
		fprintf(stderr, "vmm: %s\n", wrong);
	return !wrong;
}

int main(int argc, char **argv)
{
	static struct vmm m = {.stop_lock = PTHREAD_MUTEX_INITIALIZER};
	static struct vcpu vcpu[MAX_VCPUS];

	m.devices.stop = stop;
	m.devices.context = &m;
	if (!parse(&m, argc, argv))
		return usage();
	m.ram.base = mmap(NULL, m.ram.size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m.ram.base == MAP_FAILED)
		fail(&m, "memory of the guest");
	if (!load(&m))
		return END_HOST_ERROR;
	devices_init(&m.devices);
	make_vm(&m);
	for (int i = 0; i < m.start.vcpus; i++)
		make_vcpu(&m, &vcpu[i], i);
	open_terminal(&m);
	start_thread(&m, run_keyboard, &m);
	for (int i = 1; i < m.start.vcpus; i++)
		start_thread(&m, run_vcpu, &vcpu[i]);
	run_vcpu(&vcpu[0]);
	return END_HOST_ERROR;
}
