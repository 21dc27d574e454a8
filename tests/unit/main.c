/*
 * Runs all suites, listed by the Makefile in suites.def; arguments are names of suites to run alone. Closes with the line
 * "N passed, N failed".
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T(function) Suite *function(void);
#include "suites.def"

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
#define T(function) {#function, function},
#include "suites.def"
};

static int wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	int added = 0, failed, run;

	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		if (wanted(argc, argv, suites[i].name)) {
			srunner_add_suite(runner, suites[i].make());
			added++;
		}
	if (!added) {
		fprintf(stderr, "unit: no such suite\n");
		return EXIT_FAILURE;
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	printf("%d passed, %d failed\n", run - failed, failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
