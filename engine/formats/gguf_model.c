#include "engine/formats/gguf_model.h"

#include "base/memory.h"
#include "engine/formats/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct eng_naming naming = {
    .layer_prefix = "blk.",
    .names = {[ENG_TENSOR_EMBEDDING] = "token_embd.weight",
              [ENG_TENSOR_FINAL_NORM] = "output_norm.weight",
              [ENG_TENSOR_HEAD] = "output.weight",
              [ENG_TENSOR_ATTENTION_NORM] = ".attn_norm.weight",
              [ENG_TENSOR_Q] = ".attn_q.weight",
              [ENG_TENSOR_K] = ".attn_k.weight",
              [ENG_TENSOR_V] = ".attn_v.weight",
              [ENG_TENSOR_O] = ".attn_output.weight",
              [ENG_TENSOR_Q_BIAS] = ".attn_q.bias",
              [ENG_TENSOR_K_BIAS] = ".attn_k.bias",
              [ENG_TENSOR_V_BIAS] = ".attn_v.bias",
              [ENG_TENSOR_MLP_NORM] = ".ffn_norm.weight",
              [ENG_TENSOR_GATE] = ".ffn_gate.weight",
              [ENG_TENSOR_UP] = ".ffn_up.weight",
              [ENG_TENSOR_DOWN] = ".ffn_down.weight"},
    .ignored_suffixes = {NULL},
};

static const char rope_factors_name[] = "rope_freqs.weight";

struct architecture {
    const char *name;
    bool interleaved; /* rows of Q and K hold RoPE pairs side by side */
    bool biased;      /* Q, K and V always have biases */
};

/* Reads keys of one architecture: "llama." + field. */
struct reader {
    const struct eng_gguf *gguf;
    const struct architecture *architecture;
    struct base_error *error;
};

enum { KEY_BYTES = 128 };

static void make_key(const struct reader *r, const char *field, char ret[KEY_BYTES])
{
    (void)snprintf(ret, KEY_BYTES, "%s.%s", r->architecture->name, field);
}

static enum base_status read_size(const struct reader *r, const char *field, struct eng_size_range range,
                                  size_t *ret)
{
    char key[KEY_BYTES];
    make_key(r, field, key);
    return eng_gguf_size(r->gguf, key, range, ret, r->error);
}

static enum base_status read_positive(const struct reader *r, const char *field, double fallback, double *ret)
{
    char key[KEY_BYTES];
    make_key(r, field, key);
    return eng_gguf_positive(r->gguf, key, fallback, ret, r->error);
}

static enum base_status find_architecture(const struct eng_gguf *gguf, const struct architecture **ret,
                                          struct base_error *error)
{
    enum base_status status = BASE_OK;
    static const struct architecture known[] = {{"llama", true, false}, {"qwen2", false, true}};
    struct eng_bytes name = {0}, type = {0};
    size_t parts = 0;
    TRY(eng_gguf_string(gguf, "general.architecture", &name, error));
    TRY_THAT(name.size > 0, error, BASE_ERR_FORMAT, "key general.architecture is missing or empty");
    TRY(eng_gguf_string(gguf, "general.type", &type, error));
    TRY(eng_gguf_size(gguf, "split.count", (struct eng_size_range){0, SIZE_MAX - 1, 0}, &parts, error));
    TRY_THAT(type.size == 0 || eng_bytes_equal(type, "model"), error, BASE_ERR_SUPPORT,
             "general.type is \"%s\"; cachet reads \"model\"", eng_printable(type.data, type.size).text);
    TRY_THAT(parts <= 1, error, BASE_ERR_SUPPORT,
             "split.count is %zu: merge the parts into one GGUF file first", parts);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (eng_bytes_equal(name, known[i].name)) {
            *ret = &known[i];
            return BASE_OK;
        }
    }
    status =
        base_fail(error, BASE_ERR_SUPPORT, "general.architecture is \"%s\"; cachet supports llama, qwen2",
                  eng_printable(name.data, name.size).text);
out:
    return status;
}

static enum base_status read_heads(const struct reader *r, struct eng_model_shape *shape)
{
    enum base_status status = BASE_OK;
    size_t value_length = 0, rotated = 0;
    TRY(read_size(r, "attention.head_count", (struct eng_size_range){1, ENG_LIMIT_HEADS, SIZE_MAX},
                  &shape->heads));
    TRY(read_size(r, "attention.head_count_kv", (struct eng_size_range){1, ENG_LIMIT_HEADS, shape->heads},
                  &shape->kv_heads));
    TRY(read_size(r, "attention.key_length", (struct eng_size_range){1, ENG_LIMIT_HEAD_DIM, 0},
                  &shape->head_dim));
    TRY_THAT(shape->head_dim > 0 || shape->width % shape->heads == 0, r->error, BASE_ERR_FORMAT,
             "%s.embedding_length %zu is no multiple of attention.head_count %zu, and attention.key_length "
             "is missing",
             r->architecture->name, shape->width, shape->heads);
    if (shape->head_dim == 0)
        shape->head_dim = shape->width / shape->heads;
    TRY(read_size(r, "attention.value_length",
                  (struct eng_size_range){1, ENG_LIMIT_HEAD_DIM, shape->head_dim}, &value_length));
    TRY(read_size(r, "rope.dimension_count", (struct eng_size_range){1, ENG_LIMIT_HEAD_DIM, shape->head_dim},
                  &rotated));
    TRY_THAT(value_length == shape->head_dim, r->error, BASE_ERR_SUPPORT,
             "%s.attention.value_length is %zu; cachet supports the head size %zu", r->architecture->name,
             value_length, shape->head_dim);
    TRY_THAT(rotated == shape->head_dim, r->error, BASE_ERR_SUPPORT,
             "%s.rope.dimension_count is %zu; cachet rotates whole heads of %zu", r->architecture->name,
             rotated, shape->head_dim);
out:
    return status;
}

/* Readers of GGUF take a file that gives a factor but no type for linear scaling; "none" switches the factor
 * off. */
static enum base_status read_rope(const struct reader *r, struct eng_model_shape *shape)
{
    enum base_status status = BASE_OK;
    char key[KEY_BYTES];
    struct eng_bytes type = {0};
    double factor = 1, magnitude = 1;
    TRY(read_positive(r, "rope.freq_base", 10000, &shape->rope_theta));
    TRY(read_positive(r, "rope.scale_linear", 1, &factor));
    TRY(read_positive(r, "rope.scaling.factor", factor, &factor));
    TRY(read_positive(r, "rope.scaling.attn_factor", 1, &magnitude));
    TRY_THAT(magnitude == 1, r->error, BASE_ERR_SUPPORT,
             "%s.rope.scaling.attn_factor is %g; cachet supports 1", r->architecture->name, magnitude);
    make_key(r, "rope.scaling.type", key);
    TRY(eng_gguf_string(r->gguf, key, &type, r->error));
    if (type.size == 0 || eng_bytes_equal(type, "linear")) {
        if (factor != 1)
            shape->rope_scaling = (struct eng_rope_scaling){.kind = ENG_ROPE_LINEAR, .factor = factor};
    } else {
        TRY_THAT(eng_bytes_equal(type, "none"), r->error, BASE_ERR_SUPPORT,
                 "%s is \"%s\"; cachet supports none, linear and llama3's %s", key,
                 eng_printable(type.data, type.size).text, rope_factors_name);
    }
out:
    return status;
}

/* Fields that change the computation in a way that cachet does not follow. */
static enum base_status refuse_variants(const struct reader *r, const struct eng_model_shape *shape)
{
    enum base_status status = BASE_OK;
    static const char *const foreign[] = {
        "expert_used_count",    "attention.clamp_kqv", "attention.max_alibi_bias", "attention.scale",
        "logit_scale",          "residual_scale",      "embedding_scale",          "attn_logit_softcapping",
        "use_parallel_residual"};
    char key[KEY_BYTES];
    size_t experts = 0, window = 0;
    bool causal = true;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        make_key(r, foreign[i], key);
        TRY_THAT(eng_gguf_find(r->gguf, key) == NULL, r->error, BASE_ERR_SUPPORT,
                 "%s is set; cachet supports models without it", key);
    }
    TRY(read_size(r, "expert_count", (struct eng_size_range){0, SIZE_MAX - 1, 0}, &experts));
    TRY_THAT(experts == 0, r->error, BASE_ERR_SUPPORT, "%s.expert_count is %zu; cachet supports dense models",
             r->architecture->name, experts);
    TRY(read_size(r, "attention.sliding_window", (struct eng_size_range){0, SIZE_MAX - 1, 0}, &window));
    TRY_THAT(
        window == 0 || window >= shape->context, r->error, BASE_ERR_SUPPORT,
        "%s.attention.sliding_window is %zu, shorter than the context of %zu; cachet attends to everything",
        r->architecture->name, window, shape->context);
    make_key(r, "attention.causal", key);
    TRY(eng_gguf_bool(r->gguf, key, true, &causal, r->error));
    TRY_THAT(causal, r->error, BASE_ERR_SUPPORT, "%s is false; cachet supports causal attention", key);
out:
    return status;
}

static enum base_status read_ids(const struct reader *r, struct eng_model_shape *shape)
{
    enum base_status status = BASE_OK;
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const struct eng_size_range any = {0, ENG_LIMIT_VOCAB - 1, ENG_LIMIT_VOCAB}; /* the limit itself: none */
    size_t id = 0;
    TRY(eng_gguf_size(r->gguf, "tokenizer.ggml.bos_token_id", any, &id, r->error));
    shape->bos = id == ENG_LIMIT_VOCAB ? -1 : (int32_t)id;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        bool known = false;
        TRY(eng_gguf_size(r->gguf, ends[i], any, &id, r->error));
        for (size_t k = 0; k < shape->eos_count; k++)
            known = known || (size_t)shape->eos[k] == id;
        if (id != ENG_LIMIT_VOCAB && !known)
            shape->eos[shape->eos_count++] = (int32_t)id;
    }
out:
    return status;
}

static enum base_status read_shape(const struct reader *r, struct eng_named_tensor *tensors, size_t count,
                                   struct eng_model_shape *shape)
{
    enum base_status status = BASE_OK;
    const struct eng_named_tensor *embedding =
        eng_named_tensors_find(tensors, count, naming.names[ENG_TENSOR_EMBEDDING]);
    TRY(read_size(r, "block_count", (struct eng_size_range){1, ENG_LIMIT_LAYERS, SIZE_MAX}, &shape->layers));
    TRY(read_size(r, "embedding_length", (struct eng_size_range){1, ENG_LIMIT_WIDTH, SIZE_MAX},
                  &shape->width));
    TRY(read_size(r, "feed_forward_length", (struct eng_size_range){1, ENG_LIMIT_FFN, SIZE_MAX},
                  &shape->ffn));
    TRY(read_size(r, "context_length", (struct eng_size_range){1, ENG_LIMIT_CONTEXT, SIZE_MAX},
                  &shape->context));
    TRY(read_heads(r, shape));
    TRY(read_positive(r, "attention.layer_norm_rms_epsilon", 0, &shape->norm_eps));
    TRY_THAT(embedding != NULL && embedding->rank == 2, r->error, BASE_ERR_FORMAT,
             "tensor token_embd.weight is missing or no matrix");
    TRY(read_size(r, "vocab_size",
                  (struct eng_size_range){embedding->dims[0], embedding->dims[0], embedding->dims[0]},
                  &shape->vocab));
    shape->tied = eng_named_tensors_find(tensors, count, naming.names[ENG_TENSOR_HEAD]) == NULL;
    shape->qkv_bias =
        r->architecture->biased || eng_named_tensors_find(tensors, count, "blk.0.attn_q.bias") != NULL;
    (void)snprintf(shape->model_type, sizeof shape->model_type, "%s", r->architecture->name);
    TRY(read_rope(r, shape));
    TRY(refuse_variants(r, shape));
    TRY(read_ids(r, shape));
out:
    return status;
}

/* Llama 3.1 and later store what each frequency is divided by. The four numbers behind it are not in the
 * file; those of every Llama 3 release but the factor are the same, so they are tried and compared. */
static enum base_status explain_rope_factors(struct eng_model_shape *shape, struct eng_named_tensor *tensor,
                                             struct base_error *error)
{
    enum base_status status = BASE_OK;
    uint64_t plain[ENG_LIMIT_HEAD_DIM / 2], scaled[ENG_LIMIT_HEAD_DIM / 2];
    float factors[ENG_LIMIT_HEAD_DIM / 2], largest = 1;
    const size_t half = shape->head_dim / 2;
    TRY(eng_model_shape_check(shape, error)); /* bounds head_dim for the arrays above */
    TRY_THAT(tensor->rank == 1 && tensor->dims[0] == half && tensor->dtype == ENG_DTYPE_F32, error,
             BASE_ERR_FORMAT, "tensor %s: must hold %zu numbers as F32", rope_factors_name, half);
    TRY_THAT(shape->rope_scaling.kind == ENG_ROPE_PLAIN, error, BASE_ERR_SUPPORT,
             "tensor %s comes with another RoPE scaling; cachet supports one of them", rope_factors_name);
    eng_dequant_row(ENG_DTYPE_F32, tensor->bytes.data, half, factors);
    for (size_t i = 0; i < half; i++)
        largest = factors[i] > largest ? factors[i] : largest;
    tensor->used = true;
    eng_model_rope_turns(shape, plain);
    if (largest > 1)
        shape->rope_scaling = (struct eng_rope_scaling){ENG_ROPE_LLAMA3, (double)largest, 1, 4, 8192};
    TRY(eng_model_shape_check(shape, error));
    eng_model_rope_turns(shape, scaled);
    for (size_t i = 0; i < half; i++) {
        double expected = (double)plain[i] / (double)scaled[i];
        TRY_THAT(
            fabs((double)factors[i] - expected) <= 1e-3 * expected, error, BASE_ERR_SUPPORT,
            "tensor %s: number %zu is %g where Llama 3's scaling by %g has %g; cachet supports that scaling",
            rope_factors_name, i, (double)factors[i], (double)largest, expected);
    }
out:
    return status;
}

enum base_status eng_gguf_load(struct eng_tensor_table *ret, struct eng_bytes file, struct base_error *error)
{
    enum base_status status = BASE_OK;
    struct eng_gguf gguf = {0};
    struct reader reader = {.gguf = &gguf, .error = error};
    struct eng_model_shape shape = {.bos = -1};
    TRY(eng_gguf_parse(&gguf, file, error));
    TRY(find_architecture(&gguf, &reader.architecture, error));
    TRY(eng_named_tensors_sort(gguf.tensors, gguf.tensor_count, error));
    TRY(read_shape(&reader, gguf.tensors, gguf.tensor_count, &shape));
    struct eng_named_tensor *factors =
        eng_named_tensors_find(gguf.tensors, gguf.tensor_count, rope_factors_name);
    if (factors != NULL)
        TRY(explain_rope_factors(&shape, factors, error));
    TRY(eng_tensor_table_init(ret, &shape, &naming, error));
    TRY(eng_tensor_table_fill(ret, gguf.tensors, gguf.tensor_count, reader.architecture->interleaved, error));
out:
    eng_gguf_finish(&gguf);
    return status;
}
