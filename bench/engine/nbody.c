/* SPDX-License-Identifier: BSD-2-Clause */
/* Five bodies under gravity, in doubles: scalar SSE2 with divisions and square roots. */
#include "programs.h"

#include <math.h>
#include <string.h>

enum { BODIES = 5, STEPS = 1000 };

struct body {
	double at[3], speed[3], mass;
};

static void step(struct body *bodies, double dt)
{
	for (int i = 0; i < BODIES; i++) {
		for (int k = i + 1; k < BODIES; k++) {
			double d[3], square = 0.01;

			for (int axis = 0; axis < 3; axis++) {
				d[axis] = bodies[i].at[axis] - bodies[k].at[axis];
				square += d[axis] * d[axis];
			}
			double pull = dt / (square * sqrt(square));
			for (int axis = 0; axis < 3; axis++) {
				bodies[i].speed[axis] -= d[axis] * bodies[k].mass * pull;
				bodies[k].speed[axis] += d[axis] * bodies[i].mass * pull;
			}
		}
	}
	for (int i = 0; i < BODIES; i++) {
		for (int axis = 0; axis < 3; axis++)
			bodies[i].at[axis] += bodies[i].speed[axis] * dt;
	}
}

uint64_t run_nbody(uint64_t count)
{
	struct body bodies[BODIES] = {{.mass = 40}};
	uint64_t sum = 0;

	for (int i = 1; i < BODIES; i++) {
		bodies[i] = (struct body){
			.at = {2.0 * i, 0.1 * i, -0.3 * i},
			.speed = {0.2 / i, sqrt(20.0 / i), 0.05},
			.mass = 0.01 * i,
		};
	}
	for (uint64_t round = 0; round < count; round++) {
		for (int i = 0; i < STEPS; i++)
			step(bodies, 0.001);
		for (int i = 0; i < BODIES; i++) {
			uint64_t bits;
			memcpy(&bits, &bodies[i].at[0], sizeof(bits));
			sum = mix(sum, bits);
		}
	}
	return sum;
}
