/* zlib, for compressed disk clusters. */
#include <zlib.h>

int main(void)
{
	return zlibVersion()[0] != ZLIB_VERSION[0];
}
