/* float16 (IEEE 754-2008 binary16) by its bits: 1 of sign, 5 of exponent, 10 of fraction. */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

struct alignas(2) __half { uint16_t bits; };
struct alignas(4) __half2 { __half x, y; };

inline float __half2float(__half h) {
    const int exponent = h.bits >> 10 & 31, fraction = h.bits & 1023;
    const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                     : exponent       ? std::ldexp(static_cast<float>(1024 + fraction), exponent - 25)
                                      : std::ldexp(static_cast<float>(fraction), -24);
    return h.bits >> 15 ? -size : size;
}

/* To the nearest, ties to even. */
inline __half __float2half_rn(float x) {
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const float size = std::fabs(x);
    if (std::isnan(x)) return {0x7fff};
    if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
    if (size < 6.103515625e-05f) return {static_cast<uint16_t>(sign | static_cast<int>(std::nearbyint(std::ldexp(size, 24))))};
    int exponent;
    const float fraction = std::frexp(size, &exponent);                      // in [0.5, 1)
    const int digits = static_cast<int>(std::nearbyint(std::ldexp(fraction, 11)));   // 1024..2048, which carries
    return {static_cast<uint16_t>(sign | (((exponent + 13) << 10) + digits))};
}

inline __half __float2half(float x) { return __float2half_rn(x); }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
inline float __low2float(__half2 h) { return __half2float(h.x); }
inline float __high2float(__half2 h) { return __half2float(h.y); }
