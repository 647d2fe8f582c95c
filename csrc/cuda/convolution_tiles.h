/* The operands of a convolution as multiply() of register_tiles.h wants them: this thread's chunks of four words of the
   tile of A, found in the images, and of B, the rows of filters. Each call goes on where the one before has ended. */
#pragma once

#include "convolution.h"
#include "register_tiles.h"

/* Positions behind the last one, and filters, are read as the last one is, and not stored. */
template <int ROWS, int COLUMNS, int WIDTH> class PatchChunks {
    typedef RegisterTile<ROWS, COLUMNS> Tile;
    typedef Chunks<ROWS, Tile::THREADS> Mine;
    enum { BETWEEN = 4 * WORDS - 16 * Tile::CHUNKS_A };     // bytes of a row that others load
    const Patches &p;
    Window window;
    Tap tap;

public:
    __device__ PatchChunks(const Patches &p) : p(p) {
        const TileOfY tile = tile_of_y(p.g, ROWS, COLUMNS);
        window = window_of(p, tile.group, min(tile.position + Mine::row(), positions(p.g) - 1));
        tap = tap_at(p, 16 * Mine::chunk(0));
    }
    __device__ void operator()(uint4 (&next)[Tile::CHUNKS_A]) {
        UNROLL for (int i = 0; i < Tile::CHUNKS_A; ++i) next[i] = next_patch<WIDTH>(p, window, tap);
        skip<WIDTH>(p, tap, BETWEEN);
    }
};

/* rows: for each filter `row` bytes, a multiple of 32. */
template <int ROWS, int COLUMNS> class RowChunks {
    typedef RegisterTile<ROWS, COLUMNS> Tile;
    typedef Chunks<COLUMNS, Tile::THREADS> Mine;
    const uint4 *at;

public:
    __device__ RowChunks(const nn_cuda_convolution &g, const void *rows, int64_t row) {
        const TileOfY tile = tile_of_y(g, ROWS, COLUMNS);
        const int filters = g.filters / g.groups, filter = min(tile.filter + Mine::row(), filters - 1);
        const int64_t first = (static_cast<int64_t>(tile.group) * filters + filter) * row;
        at = reinterpret_cast<const uint4 *>(static_cast<const unsigned char *>(rows) + first);
    }
    __device__ void operator()(uint4 (&next)[Tile::CHUNKS_B]) {
        UNROLL for (int i = 0; i < Tile::CHUNKS_B; ++i) next[i] = at[Mine::chunk(i)];
        at += WORDS / 4;
    }
};

/* Hand each sum of this thread, if it is one of Y, to the function that store(filter) gives, with its place in Y: what
   belongs to a filter is read once for eight positions. */
template <int ROWS, int COLUMNS, class Sum, class Store>
__device__ inline void each_sum(const nn_cuda_convolution &g, const Sum (&sums)[8][8], Store store) {
    typedef RegisterTile<ROWS, COLUMNS> Tile;
    const TileOfY tile = tile_of_y(g, ROWS, COLUMNS);
    UNROLL for (int j = 0; j < 8; ++j) {
        const int of_group = tile.filter + Tile::column(j), filter = tile.group * (g.filters / g.groups) + of_group;
        if (of_group >= g.filters / g.groups) continue;
        const auto put = store(filter);
        UNROLL for (int i = 0; i < 8; ++i) {
            const int64_t position = tile.position + Tile::row(i);
            if (position < positions(g)) put(position * g.filters + filter, sums[i][j]);
        }
    }
}
