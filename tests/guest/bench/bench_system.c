// Benchmarks of the kernel and of VM exits: system calls, a pipe between two processes, fork and
// exec, and three that leave a virtual machine: CPUID, OUT and a store to the bench device of our
// VMM (port 5C8h, page D0000000h), which counts them.

#include "bench.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT_BENCH = 0x5c8, BENCH_PAGE = 0xd0000000 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

uint64_t bench_syscalls(unsigned percent)
{
	long parent = getppid();
	uint64_t same = 0;

	for (unsigned i = 0; i < 60000 * percent; i++)
		same += syscall(SYS_getppid) == parent;
	return same;
}

static void echo_forever(int in, int out)
{
	uint8_t byte;

	while (read(in, &byte, 1) == 1) {
		byte++;
		if (write(out, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

uint64_t bench_pipe(unsigned percent)
{
	int there[2], back[2];
	uint64_t sum = 0;
	pid_t child;

	if (pipe(there) != 0 || pipe(back) != 0)
		fail("bench: pipe");
	child = fork();
	if (child == 0) {
		close(there[1]);
		echo_forever(there[0], back[1]);
	}
	for (unsigned i = 0; i < 500 * percent; i++) {
		uint8_t byte = (uint8_t)i;

		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			fail("bench: pipe");
		sum += byte;
	}
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
	waitpid(child, NULL, 0);
	return sum;
}

// This program again, told to do nothing.
uint64_t bench_forkexec(unsigned percent)
{
	uint64_t good = 0;

	for (unsigned i = 0; i < 10 * percent; i++) {
		pid_t child = fork();
		int status = -1;

		if (child == 0) {
			execl("/proc/self/exe", "bench", "nothing", (char *)NULL);
			_exit(1);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			fail("bench: fork");
		good += status == 0;
	}
	return good;
}

uint64_t bench_cpuid(unsigned percent)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 2000 * percent; i++) {
		unsigned a, b, c, d;

		__cpuid(0, a, b, c, d);
		sum += b ^ i;
	}
	return sum;
}

uint64_t bench_portout(unsigned percent)
{
	if (iopl(3) != 0)
		fail("bench: iopl");
	for (unsigned i = 0; i < 1000 * percent; i++)
		outb((uint8_t)i, PORT_BENCH);
	return inl(PORT_BENCH);
}

uint64_t bench_mmio(unsigned percent)
{
	int memory = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *page;

	if (memory < 0)
		fail("bench: /dev/mem");
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, BENCH_PAGE);
	if (page == MAP_FAILED)
		fail("bench: mmap of the bench page");
	for (unsigned i = 0; i < 1000 * percent; i++)
		*page = i;
	return *page;
}
