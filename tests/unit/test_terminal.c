/*
 * The program on a terminal: keys, monitor, signals, and that the terminal is left as it was found.
 * Runs $GIGOGNE on a pseudo-terminal with a guest that echoes its serial port.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

Suite *terminal_suite(void);

#define LIMIT 20 /* seconds for anything to happen */

/* Multiboot header of a flat image at 1 MiB, then: 8 bits per character; echo for ever. */
static const u8 echo_guest[] = {
	0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4,
	0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x10, 0x00, 0x66, 0xba, 0xfb, 0x03, /* mov dx, 3fbh */
	0xb0, 0x03, 0xee,	/* mov al, 3; out dx, al */
	0x66, 0xba, 0xfd, 0x03, /* mov dx, 3fdh */
	0xec, 0xa8, 0x01,	/* in al, dx; test al, 1 */
	0x74, 0xf7,		/* jz to the mov before */
	0x66, 0xba, 0xf8, 0x03, /* mov dx, 3f8h */
	0xec, 0xee,		/* in al, dx; out dx, al */
	0xeb, 0xef,		/* jmp to mov dx, 3fdh */
};

static struct {
	int master, slave;
	pid_t pid;
	struct termios before;
	char guest[32], out[16384];
	size_t len;
} t;

static void start(const char *const *more)
{
	const char *program = getenv("GIGOGNE");
	const char *argv[16] = {program, "-m", "16", "-kernel", t.guest};
	unsigned n = 5;
	int fd;

	memset(&t, 0, sizeof(t));
	strcpy(t.guest, "/tmp/gigogne-echo-XXXXXX");
	fd = mkstemp(t.guest);
	ck_assert_int_eq(write(fd, echo_guest, sizeof(echo_guest)), sizeof(echo_guest));
	close(fd);
	for (; *more; more++)
		argv[n++] = *more;
	t.master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert(t.master >= 0 && !grantpt(t.master) && !unlockpt(t.master));
	t.slave = open(ptsname(t.master), O_RDWR | O_NOCTTY);
	ck_assert(t.slave >= 0 && !tcgetattr(t.slave, &t.before));
	t.pid = fork();
	if (t.pid)
		return;
	setsid();
	ioctl(t.slave, TIOCSCTTY, 0);
	for (fd = 0; fd < 3; fd++)
		dup2(t.slave, fd);
	close(t.master);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Reads until the text has come; fails after LIMIT. */
static void expect(const char *text)
{
	time_t end = time(NULL) + LIMIT;

	while (!strstr(t.out, text)) {
		struct pollfd p = {.fd = t.master, .events = POLLIN};
		ssize_t n;

		ck_assert_msg(time(NULL) < end, "'%s' has not come, but '%s'", text, t.out);
		if (poll(&p, 1, 200) <= 0)
			continue;
		n = read(t.master, t.out + t.len, sizeof(t.out) - 1 - t.len);
		if (n > 0)
			t.len += (size_t)n;
	}
	t.len = 0;
	memset(t.out, 0, sizeof(t.out));
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(t.master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static bool is_raw(void)
{
	struct termios now;

	return !tcgetattr(t.slave, &now) && !(now.c_lflag & ICANON);
}

static void wait_raw(void)
{
	for (int i = 0; i < LIMIT * 100 && !is_raw(); i++)
		usleep(10000);
	ck_assert(is_raw());
}

/* Waits for the end; the terminal must be as before. */
static int ended(void)
{
	struct termios after;
	int status = 0;
	pid_t p = 0;

	for (int i = 0; i < LIMIT * 100 && !p; i++) {
		p = waitpid(t.pid, &status, WNOHANG);
		usleep(10000);
	}
	unlink(t.guest);
	if (!p)
		kill(t.pid, SIGKILL);
	ck_assert_msg(p, "it does not end");
	ck_assert(!tcgetattr(t.slave, &after));
	ck_assert_uint_eq(after.c_lflag, t.before.c_lflag);
	ck_assert_uint_eq(after.c_iflag, t.before.c_iflag);
	ck_assert_uint_eq(after.c_oflag, t.before.c_oflag);
	close(t.master);
	close(t.slave);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define START(...) start((const char *const[]){__VA_ARGS__, NULL})

START_TEST(first_line_and_leaving)
{
	START("-nographic");
	expect("Ctrl-A x ends");
	wait_raw();
	type("hello");
	expect("hello");
	type("\001h");
	expect("Ctrl-A c");
	type("\001\001!");
	expect("\001!");
	type("\003.");
	expect("\003."); /* Ctrl-C is the guest's */
	type("\001x");
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(monitor)
{
	START("-nographic");
	wait_raw();
	type("\001c");
	expect("(gigogne) ");
	type("info regsiters\r");
	expect("the nearest is 'info registers'");
	type("info registerz\177s\r");
	expect("CR0");
	type("stop\rinfo status\r");
	expect("paused");
	type("cont\rinfo status\r");
	expect("running");
	type("\001c");
	type("back");
	expect("back");
	type("\001cquit\r");
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(paused_start)
{
	START("-nographic", "-S");
	wait_raw();
	type("x\001c");
	expect("(gigogne) ");
	type("info status\r");
	expect("paused");
	type("c\r\001c");
	expect("x");
	type("\001x");
	ck_assert_int_eq(ended(), 0);
}
END_TEST

static const int end_signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

START_TEST(signals)
{
	START("-nographic");
	expect("Ctrl-A x ends");
	wait_raw();
	kill(t.pid, end_signals[_i]);
	expect("ended by signal");
	ck_assert_int_eq(ended(), 128 + end_signals[_i]);
}
END_TEST

START_TEST(crash)
{
	START("-nographic");
	wait_raw();
	kill(t.pid, SIGABRT);
	ck_assert_int_eq(ended(), -SIGABRT);
}
END_TEST

/* Without the monitor on it, Ctrl-C stays with the host. */
START_TEST(plain_stdio)
{
	START("-serial", "stdio");
	wait_raw();
	type("abc");
	expect("abc");
	type("\003");
	ck_assert_int_eq(ended(), 128 + SIGINT);
}
END_TEST

START_TEST(stopped_and_continued)
{
	START("-nographic");
	wait_raw();
	kill(t.pid, SIGTSTP);
	for (int i = 0; i < LIMIT * 100 && is_raw(); i++)
		usleep(10000);
	ck_assert(!is_raw());
	kill(t.pid, SIGCONT);
	wait_raw();
	type("on");
	expect("on");
	type("\001x");
	ck_assert_int_eq(ended(), 0);
}
END_TEST

START_TEST(wall_limit)
{
	START("-nographic", "-timeout", "1");
	expect("limit of 1 seconds");
	ck_assert_int_eq(ended(), 68);
}
END_TEST

Suite *terminal_suite(void)
{
	Suite *s = suite_create("terminal");
	TCase *c = tcase_create("pty");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 4 * LIMIT);
	if (!getenv("GIGOGNE")) {
		fprintf(stderr, "terminal: GIGOGNE names no program: skipped\n");
		return s;
	}
	tcase_add_test(c, first_line_and_leaving);
	tcase_add_test(c, monitor);
	tcase_add_test(c, paused_start);
	tcase_add_loop_test(c, signals, 0, 4);
	tcase_add_test(c, crash);
	tcase_add_test(c, plain_stdio);
	tcase_add_test(c, stopped_and_continued);
	tcase_add_test(c, wall_limit);
	return s;
}
