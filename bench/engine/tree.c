/* SPDX-License-Identifier: BSD-2-Clause */
/* A treap with nodes from a pool: insertion and look-up, pointer chasing with unpredictable branches. */
#include "programs.h"

enum { NODES = 1 << 15 };

struct node {
	uint64_t key, priority;
	struct node *left, *right;
};

static struct node *insert(struct node *root, struct node *new)
{
	if (!root)
		return new;
	if (new->key < root->key) {
		struct node *child = insert(root->left, new);
		root->left = child;
		if (child->priority > root->priority) {
			root->left = child->right;
			child->right = root;
			return child;
		}
	} else {
		struct node *child = insert(root->right, new);
		root->right = child;
		if (child->priority > root->priority) {
			root->right = child->left;
			child->left = root;
			return child;
		}
	}
	return root;
}

/* How many steps it is from the root to the place of a key. */
static uint64_t depth_of(const struct node *root, uint64_t key)
{
	uint64_t depth = 0;

	while (root && root->key != key) {
		root = key < root->key ? root->left : root->right;
		depth++;
	}
	return depth;
}

uint64_t run_tree(uint64_t count)
{
	static struct node pool[NODES];
	uint64_t sum = 0;

	for (uint64_t round = 0; round < count; round++) {
		uint64_t seed = 1234567 + round;
		struct node *root = NULL;

		for (size_t i = 0; i < NODES; i++) {
			uint64_t key = next_random(&seed);
			pool[i] = (struct node){.key = key, .priority = next_random(&seed)};
			root = insert(root, &pool[i]);
		}
		uint64_t steps = 0;
		for (size_t i = 0; i < NODES; i++)
			steps += depth_of(root, pool[i].key + (i & 1));
		sum = mix(sum, steps);
	}
	return sum;
}
