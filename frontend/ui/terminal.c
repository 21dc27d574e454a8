/*
 * Raw mode and signals, see terminal.h. A signal handler can reach nothing but static objects, so
 * this file holds the program's only ones.
 *
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT ask for an orderly end, a second one ends at once. Signals
 * that mean a crash restore the terminal and then do what they always do. SIGTSTP gives the terminal
 * back for the time of the stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "frontend/ui/terminal.h"

static struct {
	struct termios cooked, raw;
	volatile sig_atomic_t is_raw, wanted; /* wanted: raw again when continued */
	volatile sig_atomic_t signal;
	int wake[2];
} tty = {.wake = {-1, -1}};

static bool foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void set_raw(void)
{
	if (foreground() && !tcsetattr(STDIN_FILENO, TCSANOW, &tty.raw))
		tty.is_raw = 1;
}

static void set_cooked(void)
{
	if (tty.is_raw && foreground())
		tcsetattr(STDIN_FILENO, TCSANOW, &tty.cooked);
	tty.is_raw = 0;
}

static void on_end(int sig)
{
	int saved = errno;
	ssize_t n;

	if (tty.signal) {
		set_cooked();
		_exit(128 + sig);
	}
	tty.signal = sig;
	n = write(tty.wake[1], "", 1);
	(void)n;
	errno = saved;
}

static void on_crash(int sig)
{
	set_cooked();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_stop(int sig)
{
	int saved = errno;

	(void)sig;
	set_cooked();
	raise(SIGSTOP);
	errno = saved;
}

static void on_continue(int sig)
{
	int saved = errno;

	(void)sig;
	if (tty.wanted)
		set_raw();
	errno = saved;
}

static void catch_signal(int sig, void (*handler)(int))
{
	struct sigaction old, sa = {.sa_handler = handler};

	sigemptyset(&sa.sa_mask);
	/* nohup and shells without job control pass ignored signals on, and a sanitizer has handlers
	 * of its own: keep both. */
	if (!sigaction(sig, NULL, &old) && old.sa_handler != SIG_DFL)
		return;
	sigaction(sig, &sa, NULL);
}

static bool open_standard(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

bool terminal_init(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

	if (!open_standard() || pipe2(tty.wake, O_NONBLOCK | O_CLOEXEC))
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		catch_signal(ends[i], on_end);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		catch_signal(crashes[i], on_crash);
	catch_signal(SIGTSTP, on_stop);
	catch_signal(SIGCONT, on_continue);
	signal(SIGPIPE, SIG_IGN);
	return true;
}

void terminal_raw(bool keep_signals)
{
	if (tty.wanted || tcgetattr(STDIN_FILENO, &tty.cooked))
		return;
	tty.raw = tty.cooked;
	tty.raw.c_iflag &= ~(tcflag_t)(BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	tty.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
	if (!keep_signals)
		tty.raw.c_lflag &= ~(tcflag_t)ISIG;
	tty.raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	tty.raw.c_cflag |= CS8;
	tty.raw.c_cc[VMIN] = 1;
	tty.raw.c_cc[VTIME] = 0;
	tty.wanted = 1;
	atexit(terminal_restore);
	set_raw();
}

void terminal_restore(void)
{
	tty.wanted = 0;
	set_cooked();
}

int terminal_signal(void)
{
	return tty.signal;
}

int terminal_wake_fd(void)
{
	return tty.wake[0];
}

void terminal_drain_wake(void)
{
	char buf[16];

	while (read(tty.wake[0], buf, sizeof(buf)) > 0)
		;
}
