/* The table of kernels/device/backend.h. */
#include "kernels/cuda/slots.cuh"

namespace KERN_CUDA_NAMESPACE {

static const char *way_name(int way)
{
    static const char *const names[WAYS] = {"mma", "wgmma", "cuBLASLt"};
    return names[way];
}

static void choose_way(void *context, int way)
{
    ((struct device *)context)->way = way;
}

static struct kern_backend make_backend()
{
    struct kern_backend b = {};
    b.name = "cuda";
    b.open = device_open;
    b.close = device_close;
    b.describe = device_describe;
    b.place = place;
    b.forget = forget;
    b.wipe = wipe;
    b.placed_bytes = placed_bytes;
    b.memory = device_memory;
    b.count = device_count;
    b.host_alloc = device_host_alloc;
    b.host_free = device_host_free;
    b.ways = WAYS;
    b.way_name = way_name;
    b.way_offered = way_offered;
    b.choose = choose_way;
    b.gemm = gemm;
    b.start = start;
    b.bring = bring;
    b.finish = finish;
    b.combine32 = combine32;
    b.dot = dot;
    b.prg = prg;
    b.hash_tweaked = hash_tweaked;
    b.dpf_generate = dpf_generate;
    b.dpf_full = dpf_full;
    b.dpf_point = dpf_point;
    b.bit_generate = bit_generate;
    b.bit_less = bit_less;
    b.dcf_generate = dcf_generate;
    b.dcf_eval = dcf_eval;
    b.pack_bits = pack_bits;
    b.unpack = unpack;
    b.round_shift = round_shift;
    b.grid_dot = grid_dot;
    b.segment_dot = segment_dot;
    b.turn_add = turn_add;
    b.power_words = power_words;
    b.grid_sums = gate_grid;
    b.segment_sums = gate_segment;
    return b;
}

static const struct kern_backend backend = make_backend();

}

#ifdef KERN_CUDA_EMULATED
extern "C" const struct kern_backend *kern_emulated_backend(void)
#else
extern "C" const struct kern_backend *kern_cuda_backend(void)
#endif
{
    return &KERN_CUDA_NAMESPACE::backend;
}
