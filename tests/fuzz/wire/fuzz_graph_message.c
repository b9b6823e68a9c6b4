/* Any bytes as a Graph message: a fault with its reason, or a sound graph that survives being written and read. */
#include "wire/graph_message.h"

#include "model/schema.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_graph *graph = NULL, *again = NULL;
    struct trib_error error;
    error.message[0] = 0;
    if (trib_graph_unpack(data, size, &graph, &error) != TRIB_OK) {
        require(!graph && error.message[0] != 0);
        return 0;
    }
    struct trib_buf first = {0}, second = {0};
    require(trib_graph_pack(graph, &first, &error) == TRIB_OK);
    require(trib_graph_unpack(first.data, first.len, &again, &error) == TRIB_OK);
    require(trib_graph_pack(again, &second, &error) == TRIB_OK);
    require(first.len == second.len && (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
    struct trib_schema schema;
    if (trib_schema_init(&schema, graph, &error) == TRIB_OK) {
        trib_schema_clear(&schema);
    }
    trib_buf_clear(&first);
    trib_buf_clear(&second);
    trib_graph_free(graph);
    trib_graph_free(again);
    return 0;
}
