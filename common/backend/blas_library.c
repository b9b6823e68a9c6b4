/* OpenBLAS: probing it, describing it, calling it. The only file that includes its header. Any thread once probed. */
#include "blas.h"

#include "base/log.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What openblas_get_parallel returns. */
enum { SERIAL = 0, PTHREAD = 1, OPENMP = 2 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int parallel;
static char description[256];

static void prepare(void)
{
    parallel = openblas_get_parallel();
    /* Our own pool does the threading: a library that cuts work by thread count gives other bits with other counts. */
    openblas_set_num_threads(1);
    /* A core type pinned in the environment, for another machine perhaps, can halve the speed: say so. */
    const char *pinned = getenv("OPENBLAS_CORETYPE") ? " (pinned by OPENBLAS_CORETYPE)" : "";
    snprintf(description, sizeof description, "%s; core type %s%s", openblas_get_config(), openblas_get_corename(),
             pinned);
    if (parallel == OPENMP) {
        trib_log(TRIB_LOG_WARN, "backend", "openblas_openmp",
                 TRIB_F_STR("reason", "the OpenMP build of OpenBLAS is linked; it is held to one thread"),
                 TRIB_F_STR("fix", "install libopenblas0-pthread and choose it with update-alternatives"));
    }
}

enum trib_status trib_blas_probe(struct trib_error *error)
{
    pthread_once(&once, prepare);
    if (parallel == SERIAL) {
        /* Built without locking: concurrent calls return wrong results. */
        return trib_fail(error, TRIB_UNAVAILABLE,
                         "the serial build of OpenBLAS is linked, which gives wrong results when threads call it: "
                         "install libopenblas0-pthread and choose it with update-alternatives");
    }
    return TRIB_OK;
}

const char *trib_blas_describe(void)
{
    pthread_once(&once, prepare);
    return description;
}

void trib_blas_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    if (m == 0 || n == 0) {
        return;
    }
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)k, 1.0f, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}
