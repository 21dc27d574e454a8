// Runs a command on a pseudo terminal of its own and does something to it when
// it has begun:
//
//   pty TEXT ACTION COMMAND [ARGUMENT]...
//
//   TEXT      the action comes when this has appeared on the terminal
//   key:KEYS  types KEYS, in which ^X stands for Ctrl-X
//   signal:N  sends signal N to the command
//   hangup    closes the terminal, as a lost connection does
//
// Prints what appeared on the terminal and then one line: "status S mode MODE
// restored YES|NO|-", where S is the command's exit status (or sigN when a
// signal ended it, or hung after 20 seconds), MODE is raw or cooked as it was
// just before the action, and restored tells whether the terminal's settings
// are afterwards what they were at the start. Needs Linux (setsid takes the
// terminal).

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 20, SEEN_SIZE = 65536 };

struct session {
	int master, slave;
	pid_t child;
	struct termios before;
	const char *text, *action;
	bool acted, raw;
	size_t length;
	char seen[SEEN_SIZE];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool open_terminal(struct session *s)
{
	const char *name;

	s->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->master < 0 || grantpt(s->master) || unlockpt(s->master))
		return false;
	name = ptsname(s->master);
	s->slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	return s->slave >= 0 && tcgetattr(s->slave, &s->before) == 0;
}

// A shell starts background commands with some signals ignored; the command
// shall have them all.
static void be_child(const struct session *s, char **command)
{
	static const int usual[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP};

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		signal(usual[i], SIG_DFL);
	setsid();
	ioctl(s->slave, TIOCSCTTY, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(s->slave, fd);
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

static void type_keys(const struct session *s, const char *keys)
{
	for (; *keys; keys++) {
		char byte = *keys;

		if (byte == '^' && keys[1])
			byte = (char)(*++keys & 0x1f);
		if (write(s->master, &byte, 1) != 1)
			perror("pty: cannot type");
		usleep(20000);
	}
}

static bool same_settings(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

static bool is_restored(const struct session *s)
{
	struct termios after;

	return tcgetattr(s->slave, &after) == 0 && same_settings(&s->before, &after);
}

static void act(struct session *s)
{
	s->acted = true;
	s->raw = !is_restored(s);
	if (strncmp(s->action, "key:", 4) == 0) {
		type_keys(s, s->action + 4);
	} else if (strncmp(s->action, "signal:", 7) == 0) {
		kill(s->child, atoi(s->action + 7));
	} else {
		close(s->slave);
		close(s->master);
		s->slave = s->master = -1;
	}
}

// A chatty command fills the buffer: what comes then is read and forgotten.
static void take_output(struct session *s)
{
	char *to = s->seen + s->length;
	ssize_t got = read(s->master, to, SEEN_SIZE - 1 - s->length);

	if (got > 0)
		s->length += (size_t)got;
	if (s->length == SEEN_SIZE - 1)
		s->length = SEEN_SIZE / 2;
	s->seen[s->length] = 0;
	if (!s->acted && strstr(s->seen, s->text))
		act(s);
}

static bool readable(const struct session *s, int ms)
{
	struct pollfd p = {.fd = s->master, .events = POLLIN};

	return poll(&p, 1, ms) > 0 && p.revents & POLLIN;
}

// Returns false when the command had to be killed.
static bool follow(struct session *s, int *status)
{
	double end = now() + SECONDS;

	while (waitpid(s->child, status, WNOHANG) == 0) {
		if (now() > end) {
			kill(s->child, SIGKILL);
			waitpid(s->child, status, 0);
			return false;
		}
		if (s->master < 0)
			usleep(20000);
		else if (readable(s, 20))
			take_output(s);
	}
	while (s->master >= 0 && readable(s, 0))
		take_output(s);
	return true;
}

static void report(const struct session *s, bool ended, int status)
{
	printf("%s\nstatus ", s->seen);
	if (!ended)
		printf("hung");
	else if (WIFSIGNALED(status))
		printf("sig%d", WTERMSIG(status));
	else
		printf("%d", WEXITSTATUS(status));
	printf(" mode %s", s->raw ? "raw" : "cooked");
	printf(" restored %s\n", s->slave < 0 ? "-" : is_restored(s) ? "YES" : "NO");
}

int main(int argc, char **argv)
{
	struct session *s = calloc(1, sizeof(*s));
	int status = 0;
	bool ended;

	if (argc < 4 || !s) {
		fputs("usage: pty TEXT key:KEYS|signal:N|hangup COMMAND...\n", stderr);
		return 2;
	}
	s->text = argv[1];
	s->action = argv[2];
	if (!open_terminal(s)) {
		perror("pty");
		return 2;
	}
	s->child = fork();
	if (s->child == 0)
		be_child(s, argv + 3);
	ended = follow(s, &status);
	report(s, ended, status);
	free(s);
	return 0;
}
