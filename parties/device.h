/* The accelerator of a party (kernels/device.h): opened beside the CPU, given the session's weights and caches, and asked before every message that the
 * party sends whether it still works. */
#ifndef CACHET_PARTIES_DEVICE_H
#define CACHET_PARTIES_DEVICE_H

#include "base/log.h"
#include "engine/placed.h"

struct party_device_form {
    const char *name; /* "cuda:0"; NULL: none */
    bool fallback;    /* goes on on the CPU where the device is missing, too small or fails, and says so once */
};

struct party_device {
    bool fallback;
    struct kern_device *device; /* NULL: the CPU alone */
    struct eng_placed placed;
    const struct base_log *log;
};

/* Opens the device, if one is named, and logs what it is and from where on calls go to it. log: borrowed. Errors without `fallback`: those of
 * kern_device_open. It must stay where it is while it lives. */
BASE_MUST_USE enum base_status party_device_open(struct party_device *ret, const struct party_device_form *form, const struct kern_table *cpu,
                                                 const struct base_log *log, struct base_error *error);
/* What the party computes with: the device's table, or `cpu` without one. */
const struct kern_table *party_device_table(struct party_device *d, const struct kern_table *cpu);
/* Puts the session's matrices there. Errors without `fallback`: those of eng_place. */
BASE_MUST_USE enum base_status party_device_place(struct party_device *d, struct eng_session *session, struct base_error *error);
/* The device's failure since it was opened, where the CPU may not stand in for it. */
BASE_MUST_USE enum base_status party_device_failure(struct party_device *d, struct base_error *error);
/* Before the session goes: logs how often the device was waited for, and takes its matrices back. */
void party_device_release(struct party_device *d);
/* After it. Both accept a zeroed one. */
void party_device_close(struct party_device *d);

#endif
