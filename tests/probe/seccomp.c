/* libseccomp, for a sandbox. */
#include <seccomp.h>

int main(void)
{
	seccomp_release(seccomp_init(SCMP_ACT_ALLOW));
	return 0;
}
