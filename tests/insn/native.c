/*
 * The native side: a child process that runs cases on this processor. It maps the case's pages at
 * their fixed addresses, loads the whole state, jumps into the code and gets the state back at the
 * exit page or in a signal handler. Strict seccomp keeps code that runs astray from doing anything.
 * x86-64 Linux only; elsewhere the comparison is skipped.
 */
#include "tests/insn/hostcmp.h"

#if defined(__x86_64__) && defined(__linux__)
#undef REG_RIP /* the C library's is meant here */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/insn/native_layout.h"

#define XSAVE_BYTES 832
#define YMM_HIGH 576
#define TIMEOUT_MS 10000

/* The page at HC_NATIVE; the offsets are those of native_layout.h. */
struct frame {
	u8 load[1024], save[1024]; /* XSAVE images */
	u64 in[16], out[16];
	u64 in_flags, out_flags, entry, host_rsp;
	u64 host_fs, host_gs, fs, gs, use_fsgs;
	struct hc_result *result; /* of the case that runs */
};
_Static_assert(offsetof(struct frame, save) == NF_SAVE, "layout");
_Static_assert(offsetof(struct frame, in) == NF_IN, "layout");
_Static_assert(offsetof(struct frame, out) == NF_OUT, "layout");
_Static_assert(offsetof(struct frame, in_flags) == NF_IN_FLAGS, "layout");
_Static_assert(offsetof(struct frame, entry) == NF_ENTRY, "layout");
_Static_assert(offsetof(struct frame, host_fs) == NF_HOST_FS, "layout");
_Static_assert(offsetof(struct frame, use_fsgs) == NF_USE_FSGS, "layout");
_Static_assert(sizeof(struct frame) <= PAGE_SIZE, "layout");

struct shared {
	u8 ro[HC_DATA_RO];
	struct hc_batch batch[2];
};

struct native {
	struct shared *mem;
	int fd; /* of mem */
	pid_t pid;
	int to, from; /* pipes: one byte starts a batch, one answers */
};

void native_enter(void);
void native_exit(void);
void native_exit_signal(void);

#define STR_(x) #x
#define STR(x) STR_(x)
#define AT(off) STR(HC_NATIVE) "+" STR(off)
/* clang-format off */
#define EACH_REG(X) \
	X(rcx, 8) X(rdx, 16) X(rbx, 24) X(rbp, 40) X(rsi, 48) X(rdi, 56) X(r8, 64) X(r9, 72) \
	X(r10, 80) X(r11, 88) X(r12, 96) X(r13, 104) X(r14, 112) X(r15, 120) X(rax, 0) X(rsp, 32)
/* clang-format on */
#define LOAD(r, off) "mov " AT(NF_IN) "+" #off ", %" #r "\n"
#define SAVE(r, off) "mov %" #r ", " AT(NF_OUT) "+" #off "\n"

/* rsp is loaded last: nothing of the stub's is on the stack then. */
__asm__(".text\n"
	".globl native_enter, native_exit, native_exit_signal\n"
	"native_enter:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rsp, " AT(
		NF_HOST_RSP) "\n"
			     "cmpb $0, " AT(NF_USE_FSGS) "\n"
							 "je 1f\n"
							 "rdfsbase %rax\n mov %rax, " AT(
								 NF_HOST_FS) "\n"
									     "rdgsbase %rax\n mov %rax, " AT(
										     NF_HOST_GS) "\n"
												 "mov " AT(NF_FS) ", %rax\n wrfsbase %rax\n"
														  "mov " AT(NF_GS) ", %rax\n wrgsbase %rax\n"
																   "1:\n"
																   "mov $7, %eax\n xor %edx, %edx\n"
																   "xrstor64 " AT(NF_LOAD) "\n"
																			   "push " AT(NF_IN_FLAGS) "\n popfq\n" EACH_REG(LOAD) "jmp *" AT(NF_ENTRY) "\n"
																												    "native_exit:\n" EACH_REG(SAVE) "mov " AT(NF_HOST_RSP) ", %rsp\n"
																																			   "pushfq\n pop " AT(
																																				   NF_OUT_FLAGS) "\n"
																																						 "mov $7, %eax\n xor %edx, %edx\n"
																																						 "xsave64 " AT(NF_SAVE) "\n"
																																									"native_exit_signal:\n"
																																									"push $2\n popfq\n"
																																									"cmpb $0, " AT(NF_USE_FSGS) "\n"
																																												    "je 1f\n"
																																												    "mov " AT(NF_HOST_FS) ", %rax\n wrfsbase %rax\n"
																																															  "mov " AT(NF_HOST_GS) ", %rax\n wrgsbase %rax\n"
																																																		"1:\n"
																																																		"fninit\n"
																																																		"push $0x1f80\n ldmxcsr (%rsp)\n pop %rax\n"
																																																		"vzeroupper\n"
																																																		"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
																																																		"ret\n");

static struct frame *frame(void)
{
	return (struct frame *)(uintptr_t)HC_NATIVE;
}

/* --- the child --- */

/* ST(i) of the image is physical register TOP + i. */
static void to_image(const struct hc_state *s, u8 *b)
{
	unsigned top = s->fsw >> 11 & 7;

	memset(b, 0, XSAVE_BYTES);
	store_le16(b, s->fcw);
	store_le16(b + 2, s->fsw);
	b[4] = s->tags;
	store_le32(b + 24, s->mxcsr);
	for (unsigned k = 0; k < 8; k++) {
		const struct f80_reg *st = &s->st[(k + top) & 7];

		store_le64(b + 32 + 16 * k, st->sig);
		store_le16(b + 40 + 16 * k, st->se);
	}
	for (unsigned k = 0; k < 16; k++) {
		memcpy(b + 160 + 16 * k, &s->ymm[k], 16);
		memcpy(b + YMM_HIGH + 16 * k, &s->ymm[k].b[16], 16);
	}
	store_le64(b + 512, 7);
}

/* A component whose XSTATE_BV bit is clear is in its initial state. */
static void from_image(struct hc_state *s, const u8 *b)
{
	u64 bv = load_le64(b + 512);
	unsigned top;

	s->fcw = bv & 1 ? load_le16(b) : 0x37f;
	s->fsw = bv & 1 ? load_le16(b + 2) : 0;
	s->tags = bv & 1 ? b[4] : 0;
	s->mxcsr = load_le32(b + 24);
	top = s->fsw >> 11 & 7;
	for (unsigned k = 0; k < 8; k++) {
		struct f80_reg *st = &s->st[(k + top) & 7];

		st->sig = bv & 1 ? load_le64(b + 32 + 16 * k) : 0;
		st->se = bv & 1 ? load_le16(b + 40 + 16 * k) : 0;
	}
	memset(s->ymm, 0, sizeof(s->ymm));
	for (unsigned k = 0; k < 16; k++) {
		if (bv & 2)
			memcpy(&s->ymm[k], b + 160 + 16 * k, 16);
		if (bv & 4)
			memcpy(&s->ymm[k].b[16], b + YMM_HIGH + 16 * k, 16);
	}
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	static const u8 order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,	REG_R9,	 REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15};
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	struct hc_result *r = frame()->result;

	(void)sig;
	(void)info;
	for (unsigned k = 0; k < 16; k++)
		frame()->out[k] = (u64)g[order[k]];
	r->s.rip = (u64)g[REG_RIP];
	frame()->out_flags = (u64)g[REG_EFL];
	r->vector = (u8)g[REG_TRAPNO];
	r->error = (u32)g[REG_ERR];
	r->cr2 = (u64)g[REG_CR2];
	memcpy(frame()->save, uc->uc_mcontext.fpregs, XSAVE_BYTES);
	g[REG_RIP] = (greg_t)(uintptr_t)native_exit_signal;
	g[REG_RSP] = (greg_t)frame()->host_rsp;
	g[REG_EFL] = 0x202;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t ss = {.ss_size = 1 << 18};

	ss.ss_sp =
		mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, NULL))
		_exit(2);
	for (unsigned k = 0; k < ARRAY_SIZE(signals); k++)
		if (sigaction(signals[k], &sa, NULL))
			_exit(2);
}

static u8 *map_at(u64 at, size_t bytes, int prot)
{
	void *p = mmap((void *)(uintptr_t)at, bytes, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	if (p != (void *)(uintptr_t)at)
		_exit(2);
	return p;
}

/* The exit page: JMP [RIP+2] and, aligned, the address. */
static void child_maps(int fd)
{
	static const u8 jump[8] = {0xff, 0x25, 2};
	volatile const u8 *ro;
	u8 *p;

	map_at(HC_CODE, HC_CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
	p = map_at(HC_EXIT, PAGE_SIZE, PROT_READ | PROT_WRITE);
	memcpy(p, jump, sizeof(jump));
	store_le64(p + sizeof(jump), (u64)(uintptr_t)native_exit);
	mprotect(p, PAGE_SIZE, PROT_READ | PROT_EXEC);
	map_at(HC_DATA, HC_DATA_RW, PROT_READ | PROT_WRITE);
	map_at(HC_NATIVE, PAGE_SIZE, PROT_READ | PROT_WRITE);
	ro = mmap((void *)(uintptr_t)(HC_DATA + HC_DATA_RW), HC_DATA_RO, PROT_READ,
		  MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, offsetof(struct shared, ro));
	if (ro != (void *)(uintptr_t)(HC_DATA + HC_DATA_RW))
		_exit(2);
	(void)ro[0]; /* present, so that stores to it report a protection violation */
	frame()->use_fsgs = host_fsgsbase();
}

static void run_case(const struct hc_batch *b, const struct hc_case *c, struct hc_result *r)
{
	u8 *data = (u8 *)(uintptr_t)HC_DATA;
	struct frame *f = frame();

	memcpy(data, b->data, HC_DATA_RW);
	for (unsigned k = 0; k < c->patches; k++)
		memcpy(data + c->patch[k].off, c->patch[k].bytes, c->patch[k].n);
	memset((u8 *)(uintptr_t)HC_CODE, 0xcc, HC_CODE_BYTES);
	memcpy((u8 *)(uintptr_t)HC_CODE + c->start, c->code, c->code_len);
	to_image(&c->in, f->load);
	memcpy(f->in, c->in.reg, sizeof(f->in));
	f->in_flags = c->in.rflags;
	f->fs = c->in.fs_base;
	f->gs = c->in.gs_base;
	f->entry = HC_CODE + c->start;
	f->result = r;
	r->vector = HC_NO_FAULT;
	r->error = 0;
	r->cr2 = 0;
	r->s.rip = HC_EXIT;
	native_enter();
	from_image(&r->s, f->save);
	memcpy(r->s.reg, f->out, sizeof(f->out));
	r->s.rflags = f->out_flags;
	r->s.fs_base = f->fs;
	r->s.gs_base = f->gs;
	memcpy(r->data, data, HC_DATA_RW);
}

static void child(struct native *n, int in, int out)
{
	u8 which;

	child_maps(n->fd);
	catch_signals();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		_exit(2);
	while (read(in, &which, 1) == 1) {
		struct hc_batch *b = &n->mem->batch[which & 1];

		for (; b->current < b->n; b->current++)
			run_case(b, &b->c[b->current], &b->r[b->current]);
		if (write(out, &which, 1) != 1)
			break;
	}
	_exit(0);
}

/* --- the parent --- */

static bool spawn(struct native *n)
{
	int in[2], out[2];

	if (pipe(in))
		return false;
	if (pipe(out)) {
		close(in[0]);
		close(in[1]);
		return false;
	}
	fflush(NULL);
	n->pid = fork();
	if (n->pid == 0) {
		close(in[1]);
		close(out[0]);
		child(n, in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	n->to = in[1];
	n->from = out[0];
	return n->pid > 0;
}

static void reap(struct native *n)
{
	close(n->to);
	close(n->from);
	kill(n->pid, SIGKILL);
	while (waitpid(n->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

struct native *native_start(const u8 *ro_page)
{
	struct native *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	signal(SIGPIPE, SIG_IGN);
	n->fd = memfd_create("hostcmp", 0);
	if (n->fd >= 0 && !ftruncate(n->fd, sizeof(*n->mem)))
		n->mem = mmap(NULL, sizeof(*n->mem), PROT_READ | PROT_WRITE, MAP_SHARED, n->fd, 0);
	if (!n->mem || n->mem == MAP_FAILED) {
		free(n);
		return NULL;
	}
	memcpy(n->mem->ro, ro_page, HC_DATA_RO);
	if (!spawn(n)) {
		free(n);
		return NULL;
	}
	return n;
}

void native_stop(struct native *n)
{
	reap(n);
	munmap(n->mem, sizeof(*n->mem));
	close(n->fd);
	free(n);
}

struct hc_batch *native_batch(struct native *n, unsigned which)
{
	return &n->mem->batch[which];
}

/* From batch->current on. */
void native_run(struct native *n, unsigned which)
{
	u8 b = (u8)which;

	if (write(n->to, &b, 1) != 1)
		return; /* native_wait sees that it is gone */
}

bool native_wait(struct native *n, unsigned which)
{
	struct pollfd p = {.fd = n->from, .events = POLLIN};
	u8 b;

	(void)which;
	if (poll(&p, 1, TIMEOUT_MS) == 1 && read(n->from, &b, 1) == 1)
		return true;
	reap(n);
	if (!spawn(n)) {
		perror("fork");
		exit(2);
	}
	return false;
}

#else

struct native *native_start(const u8 *ro_page)
{
	(void)ro_page;
	return NULL;
}

void native_stop(struct native *n)
{
	(void)n;
}

struct hc_batch *native_batch(struct native *n, unsigned which)
{
	(void)n;
	(void)which;
	return NULL;
}

void native_run(struct native *n, unsigned which)
{
	(void)n;
	(void)which;
}

bool native_wait(struct native *n, unsigned which)
{
	(void)n;
	(void)which;
	return false;
}

#endif
