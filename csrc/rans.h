/* What the lanes of rans_decode read and write (rans.c). */
#pragma once

#include "loops.h"

enum { LANES_OF_RANS = 32, WORD_BITS = 16, LEAST_STATE = 1 << WORD_BITS };

/* One symbol: its frequency, where its part of the slots starts, and itself. */
typedef struct {
    uint32_t frequency;
    uint16_t start, symbol;
} rans_part;

typedef struct {
    uint32_t state[LANES_OF_RANS];
    const uint8_t *words, *end;   /* the next one, and behind the last: 16 bits, the lowest byte first */
    const void *number_of;        /* of each slot, which part it is in: uint8, or uint16 where they are wide */
    const rans_part *parts;
    int bits, wide;               /* 2^bits slots; 1 if there are more than 256 parts: symbols too are uint16 then */
} rans_decoder;

/* Decode groups of a symbol for each of 32 lanes, as long as 32 words are left, which is the most that a group can
 * take; returns how many groups. */
typedef int64_t rans_lanes_micro(rans_decoder *d, int64_t groups, void *symbols);

/* The 16 bits at any address, as they are on a machine of any order of bytes. */
static inline uint32_t word_at(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
