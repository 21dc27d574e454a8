/* libslirp, for a network without privileges. */
#include <libslirp.h>

int main(void)
{
	return !slirp_version_string();
}
