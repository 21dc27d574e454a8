/*
 * Ends the program when a guest makes no progress. (In a file of its own: <signal.h> has names that
 * the CPU's headers have too.)
 */
#include <signal.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static void hang(int sig)
{
	static const char text[] = "fuzz: no progress\n";

	(void)sig;
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(2);
}

void watchdog_restart(unsigned seconds)
{
	signal(SIGALRM, hang);
	alarm(seconds);
}
