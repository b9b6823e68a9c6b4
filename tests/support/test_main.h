/* The end of every unit test: run one libcheck suite and give main its exit status. */
#ifndef TRIB_TEST_MAIN_H
#define TRIB_TEST_MAIN_H

#include <check.h>
#include <stdlib.h>

/* Takes over `suite`. Prints the failures; CK_FORK and CK_VERBOSITY in the environment are obeyed. Sanitized builds
 * do not fork, so that a report is not lost with a child. */
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
