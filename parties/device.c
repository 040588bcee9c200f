#include "parties/device.h"

#include <stdio.h>

enum { SIZE_TEXT = 32 };

static void report(void *context, const char *text)
{
    const struct party_device *d = context;
    base_log_write(d->log, BASE_LOG_WARNING, NULL, "%s", text);
}

/* "from N on", or "never". */
static const char *print_from(size_t size, char ret[SIZE_TEXT])
{
    if (size == SIZE_MAX)
        (void)snprintf(ret, SIZE_TEXT, "never");
    else
        (void)snprintf(ret, SIZE_TEXT, "from %zu on", size);
    return ret;
}

static void log_device(const struct party_device *d)
{
    const struct kern_crossover *c = kern_device_crossover(d->device);
    char few[SIZE_TEXT], many[SIZE_TEXT], stream[SIZE_TEXT], keys[SIZE_TEXT], elements[SIZE_TEXT], gates[SIZE_TEXT];
    base_log_write(d->log, BASE_LOG_INFO, NULL,
                   "device %s; takes multiplications of 64-bit words %s in up to 4 rows, %s in more; bytes of streams %s, AES blocks of keys %s, "
                   "elements %s, terms of gates %s",
                   kern_device_text(d->device), print_from(c->gemm[KERN_WORD_64][0], few), print_from(c->gemm[KERN_WORD_64][1], many),
                   print_from(c->family[KERN_DEVICE_PRG], stream), print_from(c->family[KERN_DEVICE_FSS], keys),
                   print_from(c->family[KERN_DEVICE_ELEMENTWISE], elements), print_from(c->family[KERN_DEVICE_GATES], gates));
}

/* A failure before any work: an error, or the CPU and one line. */
static enum base_status forgive(struct party_device *d, enum base_status status, const struct base_error *cause, struct base_error *error)
{
    if (!d->fallback)
        return base_fail(error, status, "%s", cause->text);
    base_log_write(d->log, BASE_LOG_WARNING, NULL, "the CPU does the work: %s", cause->text);
    return BASE_OK;
}

enum base_status party_device_open(struct party_device *ret, const struct party_device_form *form, const struct kern_table *cpu,
                                   const struct base_log *log, struct base_error *error)
{
    struct base_error cause = {0};
    *ret = (struct party_device){.fallback = form->fallback, .log = log};
    if (form->name == NULL)
        return BASE_OK;
    struct kern_device_options options = {.cpu = cpu, .allow_fallback = form->fallback, .report = report, .context = ret};
    enum base_status status = kern_device_open(&ret->device, form->name, &options, &cause);
    if (status != BASE_OK)
        return forgive(ret, status, &cause, error);
    log_device(ret);
    return BASE_OK;
}

const struct kern_table *party_device_table(struct party_device *d, const struct kern_table *cpu)
{
    return d->device == NULL ? cpu : kern_device_table(d->device);
}

static enum base_status may_send(void *context, struct base_error *error)
{
    return party_device_failure(context, error);
}

enum base_status party_device_place(struct party_device *d, struct eng_session *session, struct base_error *error)
{
    struct base_error cause = {0};
    if (d->device == NULL)
        return BASE_OK;
    enum base_status status = eng_place(&d->placed, d->device, session, &cause);
    if (status != BASE_OK) { /* the session's table goes on without a device */
        kern_device_close(&d->device);
        return forgive(d, status, &cause, error);
    }
    session->party.may_send = may_send;
    session->party.may_send_context = d;
    base_log_write(d->log, BASE_LOG_INFO, NULL, "on the device: %zu MiB of weights%s, %zu MiB for caches", d->placed.weight_bytes >> 20,
                   d->placed.limbs ? " with their limbs" : ", without limbs, for which its memory is short", d->placed.cache_bytes >> 20);
    return party_device_failure(d, error);
}

enum base_status party_device_failure(struct party_device *d, struct base_error *error)
{
    return d->device == NULL ? BASE_OK : kern_device_failure(d->device, error);
}

static void log_counts(const struct party_device *d)
{
    struct kern_device_counts counts = kern_device_counts(d->device);
    base_log_write(d->log, BASE_LOG_INFO, NULL, "device: %zu calls in %zu launches and %zu copies, %zu calls on the CPU; waited for %zu times",
                   counts.on_device, counts.launches, counts.copies, counts.on_cpu, counts.waits);
}

void party_device_release(struct party_device *d)
{
    if (d->device != NULL)
        log_counts(d);
    eng_placed_finish(&d->placed);
}

void party_device_close(struct party_device *d)
{
    kern_device_close(&d->device);
}
