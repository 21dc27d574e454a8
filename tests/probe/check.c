/* The unit test framework Check. */
#include <check.h>

int main(void)
{
	srunner_free(srunner_create(suite_create("probe")));
	return 0;
}
