/* SPDX-License-Identifier: BSD-2-Clause */
/* The product of two matrices of floats. It is built with -O3, which makes packed SSE of it. */
#include "programs.h"

#include <string.h>

enum { N = 96 };

uint64_t run_matrix(uint64_t count)
{
	static float a[N][N], b[N][N], c[N][N];
	uint64_t sum = 0;

	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++) {
			a[i][k] = (float)((i * 7 + k * 3) % 17) / 8;
			b[i][k] = (float)((i * 5 + k * 11) % 23) / 16;
		}
	}
	for (uint64_t round = 0; round < count; round++) {
		a[round % N][round / N % N] += 0.5f;
		memset(c, 0, sizeof(c));
		for (int i = 0; i < N; i++) {
			for (int k = 0; k < N; k++) {
				for (int j = 0; j < N; j++)
					c[i][j] += a[i][k] * b[k][j];
			}
		}
		uint32_t bits;
		memcpy(&bits, &c[round % N][(round * 31) % N], sizeof(bits));
		sum = mix(sum, bits);
	}
	return sum;
}
