/* How a product with many rows is cut, at any level: blocks of `inner` whose tiles fit in the level-one cache, in them blocks of rows that fit in the
 * level-two cache, in them rows of w, a tile's number at a time. The tiles themselves are a level's own. */
#ifndef CACHET_KERNELS_GEMM_BLOCKS_H
#define CACHET_KERNELS_GEMM_BLOCKS_H

#include "kernels/internal.h"

/* The parameters of a product slot. */
struct kern_gemm_job {
    const void *a;
    const uint8_t *w;
    uint64_t *y;
    size_t a_stride, w_stride, y_stride; /* elements, bytes, elements */
    enum kern_word word;
};

/* A block of w: rows `stride` bytes apart; it begins at column `from`. */
struct kern_gemm_panel {
    const uint8_t *w;
    size_t stride, from, inner;
};

/* y[r ..][o ..] (+)= the products of a panel, for as many rows and outs as the function stands for. */
typedef void (*kern_gemm_tile)(const struct kern_gemm_job *job, const struct kern_gemm_panel *panel, size_t r, size_t o);

/* tile_N and column_N of a level: its `tile` with N rows as a constant, against `outs` of w and against one. Tiles of fewer rows than a full one, too:
 * heads that share a key meet it with so many. */
#define KERN_GEMM_TILES(N, outs)                                                                                    \
    GEMM_APART void tile_##N(const struct kern_gemm_job *job, const struct kern_gemm_panel *p, size_t r, size_t o)   \
    {                                                                                                                \
        tile(job, p, r, N, o, outs);                                                                                 \
    }                                                                                                                \
    GEMM_APART void column_##N(const struct kern_gemm_job *job, const struct kern_gemm_panel *p, size_t r, size_t o) \
    {                                                                                                                \
        tile(job, p, r, N, o, 1);                                                                                    \
    }

enum { KERN_GEMM_WIDE_WORDS = 1536 };

struct kern_gemm_cut {
    size_t depth;                        /* elements of `inner` in a block */
    size_t block_rows;
    size_t rows, outs;                   /* of a full tile */
    const kern_gemm_tile *tile, *column; /* by rows, from 1 on: against `outs` rows of w, and against one */
    /* Where tiles read 64-bit words and w has others: rows of w as such words, `depth` words apart; at most KERN_GEMM_WIDE_WORDS in all. NULL: none
     * are made. */
    void (*widen)(uint64_t *out, const struct kern_gemm_job *job, size_t o, size_t outs, size_t from, size_t inner);
};

/* While the rows of a panel meet activations, a piece of the next one is fetched with every tile, so that its first use does not wait for memory. */
struct kern_ahead {
    const uint8_t *line, *end; /* the next line to fetch, and the end of its row */
    size_t stride, row_bytes, rows, per_tile; /* rows that are left, lines for each tile */
};

static inline struct kern_ahead kern_ahead_of(const uint8_t *block, size_t stride, size_t row_bytes, size_t rows, size_t tiles)
{
    size_t lines = (row_bytes + 63) / 64 * rows;
    return (struct kern_ahead){block, (const uint8_t *)((uintptr_t)block + row_bytes), stride, row_bytes, rows, lines / tiles + 1};
}

static inline void kern_ahead_fetch(struct kern_ahead *a)
{
    for (size_t i = 0; i < a->per_tile && a->rows > 0; i++) {
        __builtin_prefetch((const void *)a->line, 0, 2);
        a->line = (const uint8_t *)((uintptr_t)a->line + 64);
        if ((uintptr_t)a->line >= (uintptr_t)a->end) {
            a->line = (const uint8_t *)((uintptr_t)a->end - a->row_bytes + a->stride);
            a->end = (const uint8_t *)((uintptr_t)a->end + a->stride);
            a->rows--;
        }
    }
}

/* Rows [r, r_end) against rows [o, o + outs) of w. */
static inline void kern_gemm_one_panel(const struct kern_gemm_job *job, const struct kern_gemm_cut *cut, size_t r, size_t r_end, size_t o, size_t outs,
                                       size_t from, size_t inner)
{
    _Alignas(64) uint64_t wide[KERN_GEMM_WIDE_WORDS];
    size_t bytes = kern_word_bytes(job->word);
    const uint8_t *w = job->w + o * job->w_stride + bytes * from;
    struct kern_gemm_panel panel = {w, job->w_stride, from, inner};
    struct kern_ahead next = kern_ahead_of((const uint8_t *)((uintptr_t)w + outs * job->w_stride), job->w_stride, bytes * inner, outs,
                                           (r_end - r + cut->rows - 1) / cut->rows);
    if (cut->widen != NULL) {
        cut->widen(wide, job, o, outs, from, inner);
        panel.w = (const uint8_t *)wide;
        panel.stride = cut->depth * sizeof *wide;
    }
    for (size_t i = r; i < r_end; i += cut->rows) {
        kern_ahead_fetch(&next);
        (outs == 1 ? cut->column : cut->tile)[r_end - i < cut->rows ? r_end - i : cut->rows](job, &panel, i, o);
    }
}

static inline void kern_gemm_in_blocks(const struct kern_gemm_job *job, const struct kern_gemm_cut *cut, size_t rows, size_t outs, size_t inner)
{
    for (size_t from = 0; from < inner; from += cut->depth) {
        size_t depth = inner - from < cut->depth ? inner - from : cut->depth;
        for (size_t r = 0; r < rows; r += cut->block_rows) {
            size_t r_end = rows - r < cut->block_rows ? rows : r + cut->block_rows;
            for (size_t o = 0, now; o < outs; o += now) {
                now = outs - o < cut->outs ? 1 : cut->outs;
                kern_gemm_one_panel(job, cut, r, r_end, o, now, from, depth);
            }
        }
    }
}

#endif
