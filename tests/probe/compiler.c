/* A C11 compiler with 128-bit integers, for a little-endian host with 64-bit pointers. */
#include <stdint.h>

_Static_assert(sizeof(void *) == 8, "the host must be a 64-bit one");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the host must be little-endian");
__extension__ typedef unsigned __int128 u128;

int main(void)
{
	volatile uint64_t a = 3;

	return (int)((u128)a * a >> 64);
}
