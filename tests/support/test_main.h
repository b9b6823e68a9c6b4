/* A test program's main is here: the time-out of its tests, the run of its one libcheck suite, its exit status. */
#ifndef TRIB_TEST_MAIN_H
#define TRIB_TEST_MAIN_H

#include <check.h>
#include <stdlib.h>

/* The time-out of a test is 120 s: the slowest takes a few seconds on two quiet cores, and ten times that at load 10.
 * libcheck's own default is 4 s. Sanitized builds do not fork, so only ctest's time-out ends them. CK_DEFAULT_TIMEOUT
 * in the environment goes before; a test that is slow by design sets its own with tcase_set_timeout. */
#define TRIB_TEST_TIMEOUT_S "120"

/* trib_test_set_timeout runs before main: libcheck reads the environment when a test case is created. */
__attribute__((constructor)) static void trib_test_set_timeout(void)
{
    (void)setenv("CK_DEFAULT_TIMEOUT", TRIB_TEST_TIMEOUT_S, 0);
}

/* trib_test_run takes over `suite`. Prints the failures; CK_FORK and CK_VERBOSITY in the environment are obeyed.
 * Sanitized builds do not fork, so that a report is not lost with a child. */
static inline int trib_test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
#ifdef TRIB_SANITIZED
    srunner_set_fork_status(runner, CK_NOFORK);
#endif
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int ran = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
