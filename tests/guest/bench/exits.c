// The smallest user of /dev/kvm: a few bytes of real-mode code in one page that leave the guest
// again and again, for testing and timing VM exits. exits [-p PERCENT] [NAME...]
//
//   cpuid   CPUID, answered in the kernel       rdmsr   RDMSR of IA32_APIC_BASE, likewise
//   vmcall  VMCALL, likewise                    out     OUT, answered by this program
//   mmio    a store outside memory, likewise    ept     first touches of pages
//
// Prints "bench exits-NAME begin" and "... end COUNT", where COUNT is what was seen to happen: for
// out and mmio the exits to this program, for the others the rounds the guest's counter went down.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RAM_SIZE = 0xa0000,
	CODE_BASE = 0x1000,
	TOUCH_BASE = 0x10000,
	TOUCH_PAGES = (RAM_SIZE - TOUCH_BASE) / 4096,
	MMIO_BASE = 0xd0000,
	PORT = 0x5c8,
	TSS_BASE = 0xfffbd000,
	IDENTITY_MAP_BASE = 0xfffbc000,
	MSR_APIC_BASE = 0x1b,
};

// ESI counts down to HLT.
struct test {
	const char *name;
	const uint8_t *code;
	unsigned size, rounds; // rounds at 1 percent
	uint32_t exit_reason;  // of the exits to count here, or 0
	unsigned repeats;      // of the whole at 1 percent, with memory emptied in between
};

// xor eax,eax; cpuid; dec esi; jnz; hlt
static const uint8_t cpuid_code[] = {0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x66, 0x4e, 0x75, 0xf7, 0xf4};
// mov ecx,1Bh; again: rdmsr; dec esi; jnz; hlt
static const uint8_t rdmsr_code[] = {0x66, 0xb9, MSR_APIC_BASE, 0,    0,    0,	 0x0f,
				     0x32, 0x66, 0x4e,		0x75, 0xfa, 0xf4};
// mov eax,7FFFh; vmcall; dec esi; jnz; hlt
static const uint8_t vmcall_code[] = {0x66, 0xb8, 0xff, 0x7f, 0,    0,	  0x0f,
				      0x01, 0xc1, 0x66, 0x4e, 0x75, 0xf3, 0xf4};
// mov dx,PORT; again: out dx,al; dec esi; jnz; hlt
static const uint8_t out_code[] = {0xba, PORT & 0xff, PORT >> 8, 0xee, 0x66,
				   0x4e, 0x75,	      0xfb,	 0xf4};
// mov ax,D000h; mov ds,ax; again: mov [0],al; dec esi; jnz; hlt
static const uint8_t mmio_code[] = {
	0xb8, 0x00, MMIO_BASE >> 12, 0x8e, 0xd8, 0xa2, 0x00, 0x00, 0x66, 0x4e, 0x75, 0xf9, 0xf4};
// mov ax,1000h; again: mov ds,ax; mov [0],al; add ax,100h; dec esi; jnz; hlt
static const uint8_t ept_code[] = {0xb8, 0x00, TOUCH_BASE >> 12,
				   0x8e, 0xd8, 0xa2,
				   0x00, 0x00, 0x05,
				   0x00, 0x01, 0x66,
				   0x4e, 0x75, 0xf4,
				   0xf4};

static const struct test tests[] = {
	{"cpuid", cpuid_code, sizeof(cpuid_code), 2000, 0, 0},
	{"rdmsr", rdmsr_code, sizeof(rdmsr_code), 2000, 0, 0},
	{"vmcall", vmcall_code, sizeof(vmcall_code), 2000, 0, 0},
	{"out", out_code, sizeof(out_code), 1000, KVM_EXIT_IO, 0},
	{"mmio", mmio_code, sizeof(mmio_code), 1000, KVM_EXIT_MMIO, 0},
	{"ept", ept_code, sizeof(ept_code), TOUCH_PAGES, 0, 6},
};

struct guest {
	int kvm, vm, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
};

static int must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "exits: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static void *must_map(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		must(-1, "mmap");
	return p;
}

static void make_guest(struct guest *g)
{
	uint64_t identity = IDENTITY_MAP_BASE;
	struct kvm_userspace_memory_region region = {.memory_size = RAM_SIZE};

	g->ram = must_map(RAM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	region.userspace_addr = (uintptr_t)g->ram;
	g->kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
	g->vm = must(ioctl(g->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	must(ioctl(g->vm, KVM_SET_TSS_ADDR, (unsigned long)(uint32_t)TSS_BASE), "KVM_SET_TSS_ADDR");
	must(ioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity), "KVM_SET_IDENTITY_MAP_ADDR");
	must(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	g->vcpu = must(ioctl(g->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	g->run = must_map((size_t)must(ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "vcpu size"),
			  MAP_SHARED, g->vcpu);
}

static void enter_code(struct guest *g, const struct test *t, uint32_t rounds)
{
	struct kvm_regs regs = {.rip = CODE_BASE, .rflags = 2, .rsi = rounds};
	struct kvm_sregs sregs;

	must(ioctl(g->vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(g->vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(g->vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	memcpy(g->ram + CODE_BASE, t->code, t->size);
}

// Runs the code to its HLT. Returns the exits of the counted kind, or the rounds it made.
static uint64_t run_code(struct guest *g, const struct test *t, uint32_t rounds)
{
	struct kvm_regs regs;
	uint64_t exits = 0;

	enter_code(g, t, rounds);
	for (;;) {
		must(ioctl(g->vcpu, KVM_RUN, 0), "KVM_RUN");
		if (g->run->exit_reason == KVM_EXIT_HLT)
			break;
		if (t->exit_reason == 0 || g->run->exit_reason != t->exit_reason) {
			fprintf(stderr, "exits: %s: exit reason %u, suberror %u\n", t->name,
				g->run->exit_reason, g->run->internal.suberror);
			exit(1);
		}
		exits++;
	}
	must(ioctl(g->vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	return t->exit_reason ? exits : rounds - (uint32_t)regs.rsi;
}

static uint64_t run_test(struct guest *g, const struct test *t, unsigned percent)
{
	uint64_t sum = 0;

	if (t->repeats == 0)
		return run_code(g, t, t->rounds * percent);
	for (unsigned i = 0; i < t->repeats * percent; i++) {
		must(madvise(g->ram + TOUCH_BASE, RAM_SIZE - TOUCH_BASE, MADV_DONTNEED), "madvise");
		sum += run_code(g, t, t->rounds);
	}
	return sum;
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(name, argv[i]) == 0)
			return 1;
	}
	return argc == 0;
}

int main(int argc, char **argv)
{
	unsigned percent = 100;
	struct guest g;
	int first = 1;

	if (argc > 2 && strcmp(argv[1], "-p") == 0) {
		percent = (unsigned)strtoul(argv[2], NULL, 10);
		first = 3;
	}
	if (percent == 0 || percent > 10000) {
		fputs("usage: exits [-p PERCENT] [NAME...]\n", stderr);
		return 2;
	}
	make_guest(&g);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!wanted(tests[i].name, argc - first, argv + first))
			continue;
		printf("bench exits-%s begin\n", tests[i].name);
		fflush(stdout);
		printf("bench exits-%s end %llu\n", tests[i].name,
		       (unsigned long long)run_test(&g, &tests[i], percent));
		fflush(stdout);
	}
	return 0;
}
