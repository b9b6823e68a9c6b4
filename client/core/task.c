/* What a task and its update own. */
#include "client/task.h"

void trib_client_update_clear(struct trib_client_update *update)
{
    trib_blob_unref(update->frame);
    trib_blob_unref(update->sketch);
    *update = (struct trib_client_update){0};
}
