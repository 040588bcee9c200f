/* Jobs of three_parties.h between two parties alone: P1 and P2 first run the program ahead of time, as two threads of pair_makers over a link, with
 * no input in the world; then online, reading what they made. The twin, the costs and the frames are judged as ever; what P0 would hold is put together
 * from both parties' own masks. */
#ifndef CACHET_TESTS_SUPPORT_TWO_PARTIES_H
#define CACHET_TESTS_SUPPORT_TWO_PARTIES_H

#include "tests/support/three_parties.h"

/* trio_job.ahead */
extern const struct trio_ahead two_parties;

/* Both phases sent and received the same frames: order, step, direction and size; of the first, as P1 saw them. */
BASE_MUST_USE enum base_status two_parties_same_transcript(const struct trio *a, const struct trio *b, struct base_error *error);

#endif
