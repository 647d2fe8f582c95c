/* The lanes of rans_decode with AVX2 and with AVX-512: eight states in a vector, four vectors.
 *
 *     slots       x mod M, out of the vector in pairs of two, as indices
 *     parts       of each slot the number of its symbol, of that the part (8 bytes): loads, two of which make 16 bytes
 *     x           f * (x >> bits) + slot - start
 *     words       lanes with x < 2^16 take one each: of a mask of eight lanes a table says which word goes where, or
 *                 AVX-512 spreads them (vpexpandd); the next words begin as many further
 *
 * Decoding a group is one chain of such steps for each vector, some 45 cycles long; the four overlap. Gathers are
 * microcode on Zen 4, and slower than these loads by half. Measured, 10^7 symbols of a rounded normal: `espalier bench
 * rans_decode`. */
#include "rans.h"

#if NN_X86
#include <immintrin.h>

/* Where the bytes of lane i come from: of the words the one that comes next, if its bit is set; nothing (0x80) if not. */
#define AT(m, i) __builtin_popcount((m) & ((1 << (i)) - 1))
#define BYTE(m, i, k) (uint8_t)((m) >> (i) & 1 ? 2 * AT(m, i) + (k) : 0x80)
#define LANE(m, i) BYTE(m, i, 0), BYTE(m, i, 1)
#define MASK(m) { LANE(m, 0), LANE(m, 1), LANE(m, 2), LANE(m, 3), LANE(m, 4), LANE(m, 5), LANE(m, 6), LANE(m, 7) }
#define FOUR(m) MASK(m), MASK((m) + 1), MASK((m) + 2), MASK((m) + 3)
#define SIXTEEN(m) FOUR(m), FOUR((m) + 4), FOUR((m) + 8), FOUR((m) + 12)
#define SIXTY_FOUR(m) SIXTEEN(m), SIXTEEN((m) + 16), SIXTEEN((m) + 32), SIXTEEN((m) + 48)
static const uint8_t places[256][16] = { SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192) };

enum { IN_VECTOR = 8, VECTORS = LANES_OF_RANS / IN_VECTOR };

#define PART(slot) ((const double *)(parts + (wide ? words_of_slots[slot] : bytes_of_slots[slot])))
#define TWO(a, b) _mm_loadh_pd(_mm_load_sd(PART(a)), PART(b))
#define NEXT_WORDS() _mm_loadu_si128((const __m128i *)words)

#define FOUR_PARTS(a, b)                                                                                           \
    _mm256_castpd_ps(_mm256_set_m128d(TWO((uint32_t)(b), (b) >> 32), TWO((uint32_t)(a), (a) >> 32)))
/* Keeps a compiler from adding what this is made of one after the other, when the product is there. */
#define WHILE_MULTIPLYING(x) __asm__("" : "+x"(x))

/* RENEW: what lanes below 2^16 do. */
#define DEFINE_LANES(isa, RENEW)                                                                                   \
    TARGET_##isa static INLINE int64_t lanes_##isa(const int wide, rans_decoder *d, int64_t groups, char *symbols) \
    {                                                                                                              \
        const __m256i last = _mm256_set1_epi32((1 << d->bits) - 1), low_half = _mm256_set1_epi32(0xffff);          \
        const __m128i bits = _mm_cvtsi32_si128(d->bits);                                                           \
        const uint8_t *bytes_of_slots = d->number_of, *words = d->words, *end = d->end;                            \
        const uint16_t *words_of_slots = d->number_of;                                                             \
        const rans_part *parts = d->parts;                                                                         \
        __m256i x[VECTORS], both[VECTORS / 2];                                                                     \
        int64_t done = 0;                                                                                          \
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = _mm256_loadu_si256((const __m256i *)d->state + v);         \
        for (; done < groups && end - words >= 2 * LANES_OF_RANS; done++, symbols += LANES_OF_RANS << wide) {      \
            UNROLL for (int b = 0; b < VECTORS / 2; b++) {                                                         \
                __m256i number[2];                                                                                 \
                UNROLL for (int v = 2 * b; v < 2 * b + 2; v++) {                                                   \
                    const __m256i slot = _mm256_and_si256(x[v], last);                                             \
                    const __m128i low = _mm256_castsi256_si128(slot), high = _mm256_extracti128_si256(slot, 1);    \
                    const uint64_t s01 = (uint64_t)_mm_cvtsi128_si64(low);                                         \
                    const uint64_t s23 = (uint64_t)_mm_extract_epi64(low, 1);                                      \
                    const uint64_t s45 = (uint64_t)_mm_cvtsi128_si64(high);                                        \
                    const uint64_t s67 = (uint64_t)_mm_extract_epi64(high, 1);                                     \
                    const __m256 even = FOUR_PARTS(s01, s45), odd = FOUR_PARTS(s23, s67);                          \
                    const __m256i f = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0x88));                     \
                    const __m256i rest = _mm256_castps_si256(_mm256_shuffle_ps(even, odd, 0xdd));                  \
                    __m256i past = _mm256_sub_epi32(slot, _mm256_and_si256(rest, low_half));                       \
                    WHILE_MULTIPLYING(past);                                                                       \
                    number[v & 1] = _mm256_srli_epi32(rest, 16);                                                   \
                    x[v] = _mm256_add_epi32(_mm256_mullo_epi32(f, _mm256_srl_epi32(x[v], bits)), past);            \
                    RENEW(x[v])                                                                                    \
                }                                                                                                  \
                both[b] = _mm256_packus_epi32(number[0], number[1]);                                               \
            }                                                                                                      \
            if (wide) {                                                                                            \
                _mm256_storeu_si256((__m256i *)symbols, _mm256_permute4x64_epi64(both[0], 0xd8));                  \
                _mm256_storeu_si256((__m256i *)symbols + 1, _mm256_permute4x64_epi64(both[1], 0xd8));              \
            } else                                                                                                 \
                _mm256_storeu_si256((__m256i *)symbols,                                                            \
                                    _mm256_permutevar8x32_epi32(_mm256_packus_epi16(both[0], both[1]),             \
                                                                _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));       \
        }                                                                                                          \
        UNROLL for (int v = 0; v < VECTORS; v++) _mm256_storeu_si256((__m256i *)d->state + v, x[v]);               \
        d->words = words;                                                                                          \
        return done;                                                                                               \
    }                                                                                                              \
    rans_lanes_micro rans_lanes_##isa;                                                                             \
    TARGET_##isa int64_t rans_lanes_##isa(rans_decoder *d, int64_t groups, void *symbols)                          \
    {                                                                                                              \
        return d->wide ? lanes_##isa(1, d, groups, symbols) : lanes_##isa(0, d, groups, symbols);                  \
    }

#define RENEW_avx2(x)                                                                                              \
    {                                                                                                              \
        const __m256i small = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, WORD_BITS), _mm256_setzero_si256());         \
        const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(small));                            \
        const __m128i own = _mm_shuffle_epi8(NEXT_WORDS(), _mm_loadu_si128((const __m128i *)places[mask]));        \
        x = _mm256_sllv_epi32(x, _mm256_and_si256(small, _mm256_set1_epi32(WORD_BITS)));                           \
        x = _mm256_or_si256(x, _mm256_cvtepu16_epi32(own));                                                        \
        words += 2 * (size_t)__builtin_popcount(mask);                                                             \
    }
DEFINE_LANES(avx2, RENEW_avx2)

#define RENEW_avx512(x)                                                                                            \
    {                                                                                                              \
        const __mmask8 mask = _mm256_cmplt_epu32_mask(x, _mm256_set1_epi32(LEAST_STATE));                          \
        const __m256i own = _mm256_maskz_expand_epi32(mask, _mm256_cvtepu16_epi32(NEXT_WORDS()));                  \
        x = _mm256_mask_or_epi32(x, mask, _mm256_slli_epi32(x, WORD_BITS), own);                                   \
        words += 2 * (size_t)__builtin_popcount(mask);                                                             \
    }
DEFINE_LANES(avx512, RENEW_avx512)
#endif
