/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/random.h"

#include <string.h>

#include "base/base.h"

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t random_integer(struct rng *r)
{
	static const uint64_t limits[] = {
		0,
		1,
		2,
		UINT64_MAX,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0x8000,
		0xffff,
		INT32_MAX,
		0x80000000,
		UINT32_MAX,
		0x100000000,
		INT64_MAX,
		0x8000000000000000,
		0xffffffffffffff80,
		0xffffffffffff8000,
		0xffffffff80000000,
		0x7f7f7f7f7f7f7f7f,
		0x8080808080808080,
		0x7fff7fff7fff7fff,
		0x8000800080008000,
		0x7fffffff7fffffff,
		0x8000000080000000,
	};

	switch (rng_below(r, 6)) {
	case 0:
	case 1:
		return limits[rng_below(r, ARRAY_SIZE(limits))];
	case 2:
		return rng_below(r, 256);
	case 3:
		return BIT64(rng_below(r, 64)) - rng_below(r, 2);
	default:
		return rng_next(r);
	}
}

uint32_t random_float32(struct rng *r)
{
	static const uint32_t special[] = {
		0x00000000,			    /* 0 */
		0x00000001,			    /* smallest denormal */
		0x007fffff,			    /* largest denormal */
		0x00800000,			    /* smallest normal */
		0x7f7fffff,			    /* largest */
		0x7f800000,			    /* infinity */
		0x7fc00000,			    /* quiet NaN */
		0x7fc12345, 0x7f800001,		    /* signalling NaN */
		0x7fbfffff, 0x3f800000,		    /* 1 */
		0x3f800001, 0x3f7fffff, 0x3f000000, /* 0.5 */
		0x3fc00000,			    /* 1.5 */
		0x40200000,			    /* 2.5 */
		0x4effffff,			    /* below 2^31 */
		0x4f000000,			    /* 2^31 */
		0x5f000000,			    /* 2^63 */
		0x5effffff, 0x47000000,		    /* 2^15 */
		0x42280000,
	};
	uint32_t sign = (uint32_t)rng_below(r, 2) << 31;

	switch (rng_below(r, 4)) {
	case 0:
		return (uint32_t)rng_next(r);
	case 1:
		/* Exponents close to each other, so that sums round. */
		return sign | (120 + rng_below(r, 16)) << 23 | (rng_next(r) & 0x7fffff);
	default:
		return sign | special[rng_below(r, ARRAY_SIZE(special))];
	}
}

uint64_t random_float64(struct rng *r)
{
	static const uint64_t special[] = {
		0x0000000000000000, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff8000012345678,
		0x7ff0000000000001, 0x7ff7ffffffffffff, 0x3ff0000000000000, 0x3ff0000000000001,
		0x3fefffffffffffff, 0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000,
		0x41dfffffffc00000, 0x41e0000000000000, 0x43e0000000000000, 0x43dfffffffffffff,
		0x40e0000000000000, 0x47efffffe0000000, 0x3690000000000000, 0x380fffffffffffff,
		0x41efffffffe00000,
	};
	uint64_t sign = (uint64_t)rng_below(r, 2) << 63;

	switch (rng_below(r, 4)) {
	case 0:
		return rng_next(r);
	case 1:
		return sign | (uint64_t)(1016 + rng_below(r, 16)) << 52 |
		       (rng_next(r) & 0xfffffffffffff);
	default:
		return sign | special[rng_below(r, ARRAY_SIZE(special))];
	}
}

void random_float80(struct rng *r, uint8_t value[10])
{
	static const struct {
		uint16_t exponent;
		uint64_t mantissa;
	} special[] = {
		{0, 0}, /* 0 */
		{0, 1}, /* denormals */
		{0, 0x7fffffffffffffff},
		{0, 0x8000000000000000},      /* pseudo-denormal */
		{1, 0x8000000000000000},      /* smallest normal */
		{0x7ffe, 0xffffffffffffffff}, /* largest */
		{0x7fff, 0x8000000000000000}, /* infinity */
		{0x7fff, 0xc000000000000000}, /* quiet NaN, the indefinite when negative */
		{0x7fff, 0xc000000012345678},
		{0x7fff, 0x8000000000000001}, /* signalling NaN */
		{0x7fff, 0xbfffffffffffffff},
		{0x7fff, 0}, /* unsupported: pseudo-infinity, pseudo-NaN, unnormal */
		{0x7fff, 0x4000000000000000},
		{0x3fff, 0x4000000000000000},
		{0x3fff, 0x8000000000000000}, /* 1 */
		{0x3fff, 0x8000000000000001},
		{0x3ffe, 0xffffffffffffffff},
		{0x3ffe, 0x8000000000000000}, /* 0.5 */
		{0x3fff, 0xc000000000000000}, /* 1.5 */
		{0x4000, 0xa000000000000000}, /* 2.5 */
		{0x400e, 0xfffe000000000000}, /* 32767 */
		{0x400e, 0x8000000000000000},
		{0x401e, 0x8000000000000000}, /* 2^31 */
		{0x401d, 0xfffffffe00000000},
		{0x403e, 0x8000000000000000}, /* 2^63 */
		{0x403d, 0xfffffffffffffffe},
		{0x403a, 0xde0b6b3a763fffff}, /* near 10^18, the limit of BCD */
		{0x4000, 0xc90fdaa22168c235}, /* pi */
	};
	uint16_t sign = (uint16_t)(rng_below(r, 2) << 15), exponent;
	uint64_t mantissa;

	switch (rng_below(r, 4)) {
	case 0:
		exponent = 0x3ff0 + rng_below(r, 32);
		mantissa = rng_next(r) | BIT64(63);
		break;
	case 1:
		exponent = rng_next(r) & 0x7fff;
		mantissa = rng_next(r) | BIT64(63);
		break;
	default: {
		unsigned n = rng_below(r, ARRAY_SIZE(special));

		exponent = special[n].exponent;
		mantissa = special[n].mantissa;
		break;
	}
	}
	exponent |= sign;
	memcpy(value, &mantissa, 8);
	memcpy(value + 8, &exponent, 2);
}

void random_vector(struct rng *r, uint8_t value[16])
{
	uint32_t f32[4];
	uint64_t f64[2];

	switch (rng_below(r, 8)) {
	case 0:
	case 1:
		for (unsigned n = 0; n < 4; n++)
			f32[n] = random_float32(r);
		memcpy(value, f32, 16);
		return;
	case 2:
	case 3:
		for (unsigned n = 0; n < 2; n++)
			f64[n] = random_float64(r);
		memcpy(value, f64, 16);
		return;
	case 4:
		for (unsigned n = 0; n < 4; n++)
			f32[n] = (uint32_t)random_integer(r);
		memcpy(value, f32, 16);
		return;
	case 5:
		for (unsigned n = 0; n < 16; n++)
			value[n] = (uint8_t)random_integer(r);
		return;
	case 6:
		f64[0] = random_integer(r);
		f64[1] = random_integer(r);
		memcpy(value, f64, 16);
		return;
	default:
		f64[0] = rng_next(r);
		f64[1] = rng_next(r);
		memcpy(value, f64, 16);
		return;
	}
}
