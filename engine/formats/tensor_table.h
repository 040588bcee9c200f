/* What every parser here produces: a shape, and for each tensor of such a model a checked view of its bytes. */
#ifndef CACHET_ENGINE_FORMATS_TENSOR_TABLE_H
#define CACHET_ENGINE_FORMATS_TENSOR_TABLE_H

#include "base/status.h"
#include "engine/formats/dequant.h"
#include "engine/formats/model_file.h"
#include "engine/formats/text.h"

/* A tensor as a named-tensor file lists it. Names and bytes are borrowed from the file or its parsed header. */
struct eng_named_tensor {
    struct eng_bytes name;
    const char *dtype_name; /* what the file says, for error texts */
    bool dtype_known;       /* false: usable only when no tensor of the model has this name */
    enum eng_dtype dtype;
    size_t rank;
    size_t dims[4]; /* [out, in] order, slowest first */
    struct eng_bytes bytes;
    bool used;
};

/* How a format calls the tensors: global ones by names[t]; per-layer ones by layer_prefix + layer + names[t]. */
struct eng_naming {
    const char *layer_prefix;
    const char *names[ENG_TENSORS];
    const char *ignored_suffixes[3]; /* derived tables that some exporters add; ended by NULL */
    bool transposed; /* matrices of layers are stored [in][out] (GPT-2's Conv1D) */
    bool fused;      /* one tensor holds Q, K and V one after the other, and one their biases: their names are equal */
};

struct eng_tensor_view {
    const uint8_t *bytes; /* NULL when this model has no such tensor */
    size_t rows; /* a vector of n is kept as n rows of 1, so that a bias can be reordered like the matrix it belongs to */
    size_t cols;
    size_t row_bytes; /* from one stored row to the next; transposed: there are cols of them, whose first `rows` numbers are columns */
    enum eng_dtype dtype;
    bool interleaved; /* rows hold RoPE pairs (2i, 2i + 1) of each head and are reordered when read */
    bool transposed;  /* numbers lie one by one: F32, F16 or BF16 */
};

/* Zero-initialise. `views` has one row of ENG_TENSORS per layer; the global tensors live in row 0. */
struct eng_tensor_table {
    struct eng_model_shape shape;
    const struct eng_naming *naming;
    struct eng_tensor_view *views;
};

/* Checks the shape (eng_model_shape_check) and makes room for its tensors.
 * Errors: BASE_ERR_SUPPORT naming the dimension, BASE_ERR_MEMORY. */
BASE_MUST_USE enum base_status eng_tensor_table_init(struct eng_tensor_table *table,
                                                     const struct eng_model_shape *shape,
                                                     const struct eng_naming *naming, struct base_error *error);
void eng_tensor_table_finish(struct eng_tensor_table *table);

/* What a loader hands to the model file: the table and the files that its views point into. Zero-initialise. */
struct eng_mapped_model {
    struct eng_tensor_table table;
    struct base_file *maps;
    size_t map_count;
};

const struct eng_tensor_view *eng_tensor_table_at(const struct eng_tensor_table *table, enum eng_tensor tensor,
                                                  size_t layer);

/* The file's own name of a tensor, for error texts. */
struct eng_printable eng_tensor_table_name(const struct eng_tensor_table *table, enum eng_tensor tensor,
                                           size_t layer);

/* Registers one tensor whose extent the shape already gives.
 * Errors: BASE_ERR_FORMAT when bytes.size is not what rows, cols and dtype need. */
BASE_MUST_USE enum base_status eng_tensor_table_put(struct eng_tensor_table *table, enum eng_tensor tensor,
                                                    size_t layer, struct eng_tensor_view view, size_t size,
                                                    struct base_error *error);

/* Finds every tensor that the shape calls for among `count` named ones (which it sorts), and leaves none over.
 * `interleaved` says how the rows of Q and K are stored.
 * Errors: BASE_ERR_FORMAT for a duplicate, missing, ill-shaped tensor; BASE_ERR_SUPPORT for a stored type or a left
 * over tensor that cachet does not compute with. */
BASE_MUST_USE enum base_status eng_tensor_table_fill(struct eng_tensor_table *table, struct eng_named_tensor *tensors,
                                                     size_t count, bool interleaved, struct base_error *error);

/* Sorts by name; BASE_ERR_FORMAT naming a duplicate. */
BASE_MUST_USE enum base_status eng_named_tensors_sort(struct eng_named_tensor *tensors, size_t count,
                                                      struct base_error *error);

/* NULL when absent; the tensors must be sorted by name. */
struct eng_named_tensor *eng_named_tensors_find(struct eng_named_tensor *tensors, size_t count, const char *name);

#endif
