/* Hugging Face directories that are damaged, lie, or ask for what cachet does not compute: config.json,
 * generation_config.json and the shard index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/engine/formats/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct field_case {
    const char *field;
    const char *json; /* NULL: the field is removed */
    enum base_status want;
    const char *says;
};

static void write_smallest(const char *directory, size_t parts)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_hf(directory, &tiny, parts);
    tiny_destroy(&tiny);
}

static void check_config(const char *directory, const char *model_type, const struct field_case *c)
{
    struct eng_model_shape shape = smallest_shape();
    (void)strcpy(shape.model_type, model_type);
    json_t *config = hf_config(&shape);
    json_edit(config, c->field, c->json);
    write_json(directory, "config.json", config);
    json_decref(config);
    check_refused(directory, c->want, "config.json");
    check_refused(directory, c->want, c->says);
}

static void test_sizes(void **state)
{
    static const char *const fields[] = {"hidden_size",       "num_hidden_layers", "num_attention_heads",
                                         "intermediate_size", "vocab_size",        "max_position_embeddings"};
    static const char *const values[] = {NULL,
                                         "null",
                                         "0",
                                         "-1",
                                         "2.5",
                                         "\"8\"",
                                         "true",
                                         "[8]",
                                         "1e300",
                                         "99999999999",
                                         "9223372036854775807"};
    write_smallest(*state, 1);
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            const struct field_case c = {fields[f], values[v], BASE_ERR_FORMAT, fields[f]};
            check_config(*state, "llama", &c);
        }
    }
    for (size_t v = 2; v < sizeof values / sizeof *values; v++) {
        const struct field_case kv = {"num_key_value_heads", values[v], BASE_ERR_FORMAT,
                                      "num_key_value_heads"};
        const struct field_case head = {"head_dim", values[v], BASE_ERR_FORMAT, "head_dim"};
        check_config(*state, "llama", &kv);
        check_config(*state, "llama", &head);
    }
    const struct field_case no_default = {"num_key_value_heads", NULL, BASE_ERR_FORMAT,
                                          "num_key_value_heads is missing"};
    check_config(*state, "mistral", &no_default);
    check_config(*state, "qwen2", &no_default);
}

static void test_fields(void **state)
{
    static const struct field_case cases[] = {
        {"model_type", NULL, BASE_ERR_SUPPORT, "model_type is nothing"},
        {"model_type", "\"gpt_neox\"", BASE_ERR_SUPPORT, "model_type is \"gpt_neox\""},
        {"model_type", "7", BASE_ERR_FORMAT, "model_type is 7"},
        {"architectures", "[\"MambaForCausalLM\"]", BASE_ERR_SUPPORT,
         "architectures[0] is \"MambaForCausalLM\""},
        {"architectures", "[7]", BASE_ERR_SUPPORT, "architectures[0] is 7"},
        {"num_key_value_heads", "3", BASE_ERR_SUPPORT, "multiple of 3 KV heads"},
        {"num_attention_heads", "3", BASE_ERR_FORMAT, "num_attention_heads 3"},
        {"head_dim", "3", BASE_ERR_SUPPORT, "head size is 3"},
        {"rms_norm_eps", "0", BASE_ERR_FORMAT, "rms_norm_eps is 0"},
        {"rms_norm_eps", "-1e-5", BASE_ERR_FORMAT, "rms_norm_eps is -1"},
        {"rms_norm_eps", "\"small\"", BASE_ERR_FORMAT, "rms_norm_eps is \"small\""},
        {"rms_norm_eps", "0.5", BASE_ERR_SUPPORT, "epsilon is 0.5"},
        {"tie_word_embeddings", "1", BASE_ERR_FORMAT, "tie_word_embeddings is 1"},
        {"rope_theta", "0", BASE_ERR_FORMAT, "rope_theta is 0"},
        {"rope_theta", "1e12", BASE_ERR_SUPPORT, "rope_theta is 1e+12"},
        {"rope_theta", "0.5", BASE_ERR_SUPPORT, "rope_theta is 0.5"},
        {"hidden_act", "\"gelu\"", BASE_ERR_SUPPORT, "hidden_act is \"gelu\""},
        {"attention_bias", "true", BASE_ERR_SUPPORT, "attention_bias is true"},
        {"mlp_bias", "true", BASE_ERR_SUPPORT, "mlp_bias is true"},
        {"mlp_bias", "\"no\"", BASE_ERR_FORMAT, "mlp_bias is \"no\""},
        {"partial_rotary_factor", "0.5", BASE_ERR_SUPPORT, "partial_rotary_factor is 0.5"},
        {"quantization_config", "{}", BASE_ERR_SUPPORT, "quantization_config is {...}"},
        {"num_experts", "8", BASE_ERR_SUPPORT, "num_experts is 8"},
        {"layer_types", "[\"linear_attention\"]", BASE_ERR_SUPPORT, "layer_types[0] is \"linear_attention\""},
        {"bos_token_id", "-1", BASE_ERR_FORMAT, "bos_token_id is -1"},
        {"bos_token_id", "\"<s>\"", BASE_ERR_FORMAT, "bos_token_id is \"<s>\""},
        {"bos_token_id", "4", BASE_ERR_SUPPORT, "bos token id is 4"},
        {"eos_token_id", "[1, 1.5]", BASE_ERR_FORMAT, "eos_token_id is 1.5"},
        {"eos_token_id", "4294967297", BASE_ERR_FORMAT, "eos_token_id is 4294967297"},
        {"eos_token_id", "[0,1,2,3,0,1,2,3,0]", BASE_ERR_SUPPORT, "eos_token_id lists 9 ids"},
        {"eos_token_id", "[0, 4]", BASE_ERR_SUPPORT, "eos token id is 4"},
    };
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_config(*state, "llama", &cases[i]);
}

static void test_window(void **state)
{
    static const struct field_case cases[] = {
        {"sliding_window", "3", BASE_ERR_SUPPORT, "sliding_window is 3"},
        {"sliding_window", "-1", BASE_ERR_FORMAT, "sliding_window is -1"},
        {"use_sliding_window", "\"yes\"", BASE_ERR_FORMAT, "use_sliding_window is \"yes\""},
    };
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_config(*state, "mistral", &cases[i]);
}

static void test_rope_scaling(void **state)
{
    static const struct field_case cases[] = {
        {"rope_scaling", "5", BASE_ERR_FORMAT, "rope_scaling is 5"},
        {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2}", BASE_ERR_SUPPORT,
         "rope_scaling.rope_type is \"yarn\""},
        {"rope_scaling", "{\"type\": 3}", BASE_ERR_FORMAT, "rope_scaling: type is 3"},
        {"rope_scaling", "{\"type\": \"linear\"}", BASE_ERR_FORMAT, "rope_scaling: factor is missing"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}", BASE_ERR_SUPPORT,
         "rope scaling factor is 0.5"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": -1}", BASE_ERR_FORMAT, "factor is -1"},
        {"rope_scaling", "{\"rope_type\": \"llama3\", \"factor\": 8, \"high_freq_factor\": 4}",
         BASE_ERR_FORMAT, "rope_scaling: low_freq_factor is missing"},
        {"rope_scaling",
         "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 8192}",
         BASE_ERR_SUPPORT, "low_freq_factor 4"},
        {"rope_parameters", "{\"rope_type\": \"dynamic\"}", BASE_ERR_SUPPORT,
         "rope_parameters.rope_type is \"dynamic\""},
    };
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_config(*state, "llama", &cases[i]);
}

/* Configurations that are sound, but not those of the weights beside them: the text names the tensor. */
static void test_other_shapes(void **state)
{
    static const struct field_case cases[] = {
        {"hidden_size", "16", BASE_ERR_FORMAT, "model.embed_tokens.weight: its shape is 4 x 8, but"},
        {"vocab_size", "5", BASE_ERR_FORMAT, "asks for 5 x 8"},
        {"head_dim", "8", BASE_ERR_FORMAT, "model.layers.0.self_attn.q_proj.weight"},
        {"num_key_value_heads", NULL, BASE_ERR_FORMAT, "model.layers.0.self_attn.k_proj.weight"},
        {"intermediate_size", "7", BASE_ERR_FORMAT, "model.layers.0.mlp.gate_proj.weight"},
        {"num_hidden_layers", "2", BASE_ERR_FORMAT, "model.layers.1.input_layernorm.weight is missing"},
        {"tie_word_embeddings", "true", BASE_ERR_FORMAT, "lm_head.weight differs"},
    };
    struct eng_model_shape shape = smallest_shape();
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = hf_config(&shape);
        json_edit(config, cases[i].field, cases[i].json);
        write_json(*state, "config.json", config);
        json_decref(config);
        check_refused(*state, cases[i].want, "model.safetensors");
        check_refused(*state, cases[i].want, cases[i].says);
    }
}

static void test_config_text(void **state)
{
    char path[TEST_PATH_BYTES];
    struct eng_model_shape shape = smallest_shape();
    json_t *config = hf_config(&shape);
    static const char *const texts[] = {"[]",
                                        "{",
                                        "{}x",
                                        "{\"hidden_size\": 8, \"hidden_size\": 8}",
                                        "{\"hidden_size\": 99999999999999999999}",
                                        "\xff\xfe",
                                        "{\"a\": \"\\u0000\"}"};
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(*state, "config.json", texts[i]);
        check_refused(*state, BASE_ERR_FORMAT, "config.json");
    }
    write_json(*state, "config.json", config);
    char *text = json_dumps(config, 0);
    make_path(path, *state, "config.json");
    for (size_t size = strlen(text); size-- > 0;) {
        cut_file(path, size);
        check_refused(*state, size == 0 ? BASE_ERR_IO : BASE_ERR_FORMAT, "config.json");
    }
    assert_int_equal(remove(path), 0);
    check_refused(*state, BASE_ERR_IO, "config.json");
    free(text);
    json_decref(config);
}

static void test_generation_config(void **state)
{
    static const struct {
        const char *text;
        enum base_status want;
        const char *says;
    } cases[] = {
        {"[]", BASE_ERR_FORMAT, "generation_config.json"},
        {"{\"eos_token_id\": \"end\"}", BASE_ERR_FORMAT, "eos_token_id is \"end\""},
        {"{\"bos_token_id\": 1e3}", BASE_ERR_FORMAT, "bos_token_id is 1000"},
        {"{\"bos_token_id\": 77}", BASE_ERR_SUPPORT, "bos token id is 77"},
        {"{\"eos_token_id\": 1, \"eos_token_id\": 2}", BASE_ERR_FORMAT, "generation_config.json"},
        {"", BASE_ERR_IO, "generation_config.json"},
    };
    write_smallest(*state, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(*state, "generation_config.json", cases[i].text);
        check_refused(*state, cases[i].want, cases[i].says);
    }
}

static void test_no_model(void **state)
{
    char path[TEST_PATH_BYTES];
    make_path(path, *state, "absent");
    check_refused(path, BASE_ERR_IO, "cannot open");
    assert_int_equal(mkfifo(path, 0600), 0);
    check_refused(path, BASE_ERR_IO, "is neither a file nor a directory");
    check_refused(*state, BASE_ERR_IO, "config.json");
    write_smallest(*state, 1);
    make_path(path, *state, "model.safetensors");
    check_refused(path, BASE_ERR_ARGUMENT, "give the directory");
    cut_file(path, 0);
    check_refused(*state, BASE_ERR_IO, "model.safetensors");
    assert_int_equal(remove(path), 0);
    check_refused(*state, BASE_ERR_IO, "neither model.safetensors nor model.safetensors.index.json");
}

static void check_index(const char *directory, const char *tensor, const char *place, const char *says)
{
    json_t *index = NULL;
    char path[TEST_PATH_BYTES];
    make_path(path, directory, "model.safetensors.index.json");
    write_smallest(directory, 2);
    index = json_load_file(path, 0, NULL);
    assert_non_null(index);
    json_edit(json_object_get(index, "weight_map"), tensor, place);
    write_json(directory, "model.safetensors.index.json", index);
    json_decref(index);
    check_refused(directory, BASE_ERR_FORMAT, "model.safetensors.index.json");
    check_refused(directory, BASE_ERR_FORMAT, says);
}

static void test_index_entries(void **state)
{
    static const char norm[] = "model.norm.weight";
    check_index(*state, norm, "\"../part-0.safetensors\"",
                "weight_map.model.norm.weight is \"../part-0.safetensors\"");
    check_index(*state, norm, "\"below/part-0.safetensors\"", "must name a file of this directory");
    check_index(*state, norm, "\"..\"", "weight_map.model.norm.weight is \"..\"");
    check_index(*state, norm, "\"\"", "weight_map.model.norm.weight is \"\"");
    check_index(*state, norm, "3", "weight_map.model.norm.weight is 3");
    check_index(*state, norm, "null", "weight_map.model.norm.weight is null");
    check_index(*state, norm, NULL, "puts tensor model.norm.weight into no shard");
    check_index(*state, norm, "\"part-1.safetensors\"",
                "puts tensor model.norm.weight into part-1.safetensors");
    check_index(*state, "model.extra.weight", "\"part-0.safetensors\"", "weight_map lists");
}

static void test_index(void **state)
{
    static const char *const texts[] = {"[]",
                                        "{",
                                        "{}",
                                        "{\"weight_map\": []}",
                                        "{\"weight_map\": {}}",
                                        "{\"weight_map\": {\"a\": \"b\", \"a\": \"b\"}}"};
    char path[TEST_PATH_BYTES];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_smallest(*state, 2);
        write_text(*state, "model.safetensors.index.json", texts[i]);
        check_refused(*state, BASE_ERR_FORMAT, "model.safetensors.index.json");
    }
    write_smallest(*state, 2);
    make_path(path, *state, "part-1.safetensors");
    cut_file(path, 100);
    check_refused(*state, BASE_ERR_FORMAT, "part-1.safetensors");
    assert_int_equal(remove(path), 0);
    check_refused(*state, BASE_ERR_IO, "part-1.safetensors");
}

/* A tensor that two shards hold, one of them behind the index's back. */
static void test_twice_in_shards(void **state)
{
    struct eng_model_shape shape = smallest_shape();
    struct tiny tiny;
    struct buffer data = {0};
    tiny_create(&tiny, &shape, ENG_DTYPE_F32);
    write_hf(*state, &tiny, 2);
    json_t *header = hf_header(&tiny, 0, 1, &data);
    write_shard(*state, "part-0.safetensors", header, &data);
    check_refused(*state, BASE_ERR_FORMAT, "but part-0.safetensors has one");
    json_decref(header);
    buffer_finish(&data);
    tiny_destroy(&tiny);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_sizes),
        IN_DIRECTORY(test_fields),
        IN_DIRECTORY(test_window),
        IN_DIRECTORY(test_rope_scaling),
        IN_DIRECTORY(test_other_shapes),
        IN_DIRECTORY(test_config_text),
        IN_DIRECTORY(test_generation_config),
        IN_DIRECTORY(test_no_model),
        IN_DIRECTORY(test_index_entries),
        IN_DIRECTORY(test_index),
        IN_DIRECTORY(test_twice_in_shards),
    };
    return cmocka_run_group_tests_name("formats_hostile_hf", tests, NULL, NULL);
}
