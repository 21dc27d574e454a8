// Times a guest from outside: runs an emulator, watches its standard output (the guest's serial
// console) and notes the process's CPU time and the wall clock when given texts appear there.
//
//   markers [-q] [-t SECONDS] [-x TEXT] [-s TEXT ANSWER]... MARK... -- COMMAND [ARGUMENT]...
//
//   MARK           a line containing it makes one row of the table, every time it appears
//   -s TEXT ANSWER types ANSWER and a newline when TEXT first appears, even in an open line
//   -x TEXT        ends the command when TEXT appears, for machines that cannot power off
//   -t SECONDS     kills the command at this wall time limit
//   -q             does not repeat the command's output
//
// The exit status is 0 when the command ended well and every MARK was seen, 1 when not, 124 at
// the time limit. CPU time is that of the command's own process with all its threads, user and
// system, so the emulator must be started directly and not by a shell. Left out: standard error,
// which passes through, and regular expressions.

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MARKS = 64, MAX_ROWS = 512, LINE_SIZE = 400, EXIT_TIMEOUT = 124 };

struct reply {
	const char *text, *answer;
	bool done;
};

struct row {
	double wall, cpu;
	char line[LINE_SIZE];
};

struct watch {
	const char *mark[MAX_MARKS];
	bool seen[MAX_MARKS];
	struct reply reply[MAX_MARKS];
	const char *stop_text;
	double limit, start;
	bool quiet, stop, escape;
	int marks, replies, rows, input, output;
	pid_t child;
	size_t length;
	char line[LINE_SIZE];
	struct row row[MAX_ROWS];
};

static double now(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0)
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double child_cpu(const struct watch *w)
{
	clockid_t clock;

	return clock_getcpuclockid(w->child, &clock) == 0 ? now(clock) : 0;
}

static void add_row(struct watch *w, double cpu, const char *line)
{
	struct row *row = &w->row[w->rows];

	if (w->rows == MAX_ROWS)
		return;
	w->rows++;
	row->wall = now(CLOCK_MONOTONIC) - w->start;
	row->cpu = cpu;
	snprintf(row->line, sizeof(row->line), "%s", line);
}

static void end_of_line(struct watch *w)
{
	bool hit = false;

	for (int i = 0; i < w->marks; i++) {
		if (strstr(w->line, w->mark[i]))
			w->seen[i] = hit = true;
	}
	if (hit)
		add_row(w, child_cpu(w), w->line);
	w->length = 0;
	w->line[0] = 0;
}

static void answer_open_line(struct watch *w)
{
	for (int i = 0; i < w->replies; i++) {
		struct reply *r = &w->reply[i];

		if (r->done || !strstr(w->line, r->text))
			continue;
		r->done = true;
		if (write(w->input, r->answer, strlen(r->answer)) < 0 ||
		    write(w->input, "\n", 1) < 0)
			perror("markers: cannot type");
	}
	if (w->stop_text && strstr(w->line, w->stop_text))
		w->stop = true;
}

// Firmware paints with escape sequences, which end with a letter and are not part of the line.
static void take_byte(struct watch *w, char byte)
{
	if (byte == '\033') {
		w->escape = true;
	} else if (w->escape) {
		w->escape = !((byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z'));
	} else if ((byte < 0 || byte >= ' ') && w->length < LINE_SIZE - 1) {
		w->line[w->length++] = byte;
		w->line[w->length] = 0;
	}
}

static void take_output(struct watch *w, const char *text, size_t size)
{
	if (!w->quiet) {
		fwrite(text, 1, size, stdout);
		fflush(stdout);
	}
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n') {
			answer_open_line(w);
			end_of_line(w);
		} else {
			take_byte(w, text[i]);
		}
	}
	answer_open_line(w);
}

static bool start(struct watch *w, char **command)
{
	int in[2], out[2];

	if (pipe(in) != 0 || pipe(out) != 0)
		return false;
	w->start = now(CLOCK_MONOTONIC);
	w->child = fork();
	if (w->child == 0) {
		setpgid(0, 0);
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	w->input = in[1];
	w->output = out[0];
	return w->child > 0;
}

// Returns false at the time limit, true when the command closed its output or is to be stopped.
static bool follow(struct watch *w)
{
	char buffer[4096];

	while (!w->stop) {
		struct pollfd p = {.fd = w->output, .events = POLLIN};
		double left = w->limit - (now(CLOCK_MONOTONIC) - w->start);
		ssize_t got;

		if (w->limit > 0 && left <= 0)
			return false;
		if (poll(&p, 1, w->limit > 0 ? (int)(left * 1000) + 1 : -1) <= 0)
			continue;
		got = read(w->output, buffer, sizeof(buffer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return true;
		take_output(w, buffer, (size_t)got);
	}
	return true;
}

static double usage_cpu(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void print_table(const struct watch *w)
{
	double wall = 0, cpu = 0;

	printf("\n%9s %9s %9s %9s  line\n", "wall s", "cpu s", "+wall", "+cpu");
	for (int i = 0; i < w->rows; i++) {
		const struct row *r = &w->row[i];

		printf("%9.3f %9.3f %9.3f %9.3f  %s\n", r->wall, r->cpu, r->wall - wall,
		       r->cpu - cpu, r->line);
		wall = r->wall;
		cpu = r->cpu;
	}
}

static int finish(struct watch *w, bool in_time)
{
	struct rusage usage;
	char text[64];
	int status = 0, result = 0;

	if (!in_time || w->stop)
		kill(-w->child, SIGKILL);
	if (wait4(w->child, &status, 0, &usage) < 0)
		return 1;
	if (!in_time)
		snprintf(text, sizeof(text), "(time limit)");
	else if (w->stop)
		snprintf(text, sizeof(text), "(stopped)");
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "(signal %d)", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "(exit status %d)", WEXITSTATUS(status));
	add_row(w, usage_cpu(&usage), text);
	print_table(w);
	for (int i = 0; i < w->marks; i++) {
		if (!w->seen[i]) {
			printf("never seen: %s\n", w->mark[i]);
			result = 1;
		}
	}
	if (!in_time)
		return EXIT_TIMEOUT;
	return status != 0 && !w->stop ? 1 : result;
}

static int usage(void)
{
	fputs("usage: markers [-q] [-t SECONDS] [-x TEXT] [-s TEXT ANSWER]... MARK... -- "
	      "COMMAND...\n",
	      stderr);
	return 2;
}

// Returns the index of the command in argv, or 0 when the line makes no sense.
static int parse(struct watch *w, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (w->marks == MAX_MARKS || w->replies == MAX_MARKS)
			return 0;
		if (strcmp(argv[i], "-q") == 0) {
			w->quiet = true;
		} else if (strcmp(argv[i], "-t") == 0 && i + 1 < argc) {
			w->limit = atof(argv[++i]);
		} else if (strcmp(argv[i], "-x") == 0 && i + 1 < argc) {
			w->stop_text = argv[++i];
		} else if (strcmp(argv[i], "-s") == 0 && i + 2 < argc) {
			w->reply[w->replies].text = argv[++i];
			w->reply[w->replies++].answer = argv[++i];
		} else if (argv[i][0] == '-') {
			return 0;
		} else {
			w->mark[w->marks++] = argv[i];
		}
	}
	return i + 1 < argc ? i + 1 : 0;
}

int main(int argc, char **argv)
{
	struct watch *w = calloc(1, sizeof(*w));
	int command = w ? parse(w, argc, argv) : 0;
	int result;

	if (command == 0)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	if (!start(w, argv + command)) {
		perror("markers: cannot start");
		return 1;
	}
	result = finish(w, follow(w));
	free(w);
	return result;
}
