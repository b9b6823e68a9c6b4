/* A list of layers, as the top level of a configuration: key "layers". */
#include "model/zoo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct trib_model_spec spec = {.example = {.rank = 3, .dims = {28, 28, 1}}, .classes = 10};
    struct trib_config_node *root = NULL;
    struct trib_error error;
    if (trib_config_parse_text("fuzz", (const char *)data, size, &root, &error) != TRIB_OK) {
        return 0;
    }
    const struct trib_config_node *layers = trib_config_child(root, "layers");
    struct trib_graph *graph = NULL;
    if (layers && trib_layers_build(layers, &spec, &graph, &error) == TRIB_OK) {
        trib_graph_free(graph);
    }
    trib_config_free(root);
    return 0;
}
