/* Gates between two parties alone: their notes and jobs ahead of time, then the reading of what was made, online. Secret are the streams of both phases
 * (watched_streams.c) and the inputs, so all that is made. What is allowed: watched_run.h, watched_pair.h, and
 *
 *  4. the distance by which a point key's domain is turned: both parties have opened it, and it is uniform by the random index. */
#include "tests/constant_time/secret.h"
#include "tests/constant_time/watched_pair.h"
#include "tests/constant_time/watched_run.h"
#include "tests/support/two_parties.h"

#include "pair/point.h"
#include "protocols/registry.h"

enum base_status __real_pair_point_unpack(const struct pair_party *p, struct pair_point_form form, const uint8_t *record,
                                          struct pair_point_keys *ret_keys, struct base_error *error);
enum base_status __wrap_pair_point_unpack(const struct pair_party *p, struct pair_point_form form, const uint8_t *record,
                                          struct pair_point_keys *ret_keys, struct base_error *error);

static bool control; /* allowance 4 is withheld: what was made is seen to be secret where it is read */

/* Allowance 4. */
enum base_status __wrap_pair_point_unpack(const struct pair_party *p, struct pair_point_form form, const uint8_t *record,
                                          struct pair_point_keys *ret_keys, struct base_error *error)
{
    enum base_status status = __real_pair_point_unpack(p, form, record, ret_keys, error);
    if (status == BASE_OK && !control)
        make_public(ret_keys->shift, form.count * sizeof *ret_keys->shift);
    return status;
}

static enum base_status run_making(struct trio *trio, struct base_error *error)
{
    watched_making = true;
    enum base_status status = two_parties.run(trio, error);
    watched_making = false;
    return status;
}

static bool check_gate(const char *name, size_t units)
{
    const struct trio_ahead ahead = {run_making, two_parties.maker, two_parties.finish};
    const struct sec_gate *gate = sec_gate_find(name);
    return gate != NULL && watch_gate(gate, units, (struct trio_job){.ahead = &ahead, .linear = TRIO_GILBOA, .arena_size = 256 << 20});
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t units;
    } gates[] = {{"exp", 3}, {"gelu", 2}, {"silu-times", 2}, {"reciprocal", 2}, {"inverse-root", 2}, {"coarse-max", 1}, {"guard", 3}, {"sign", 3},
                 {"sign-zero", 3}, {"digits", 3}, {"one-hot-table", 3}, {"one-hot-dpf", 2}, {"kept-rows", 2}, {"choice-pairs", 1},
                 {"choice-one-digit", 1}, {"choice-two-digits", 1}};
    bool well = true;
    if (!can_watch())
        return SKIPPED;
    control = argc > 1 && strcmp(argv[1], "leaks") == 0;
    if (control) {
        bool reported = !check_gate("exp", 3) && reports() > 0;
        (void)printf("leak of a secret distance: %s\n", reported ? "reported" : "NOT reported");
        return reported ? PASSED : FAILED;
    }
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
        well = check_gate(gates[i].name, gates[i].units) && well;
    return well ? PASSED : FAILED;
}
