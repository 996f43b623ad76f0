/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is KVM's alone: opening the device and filtering the CPU model. Everything it shares with
 * other engines is in engine_test.c, run with ACCEL=kvm.
 */
#include <stdlib.h>
#include <unistd.h>

#include "engine/engine.h"
#include "unit/test.h"

static void expect_refused(const char *device, const char *sentence)
{
	const struct engine_options opt = {.kvm_device = device};
	struct error err = {.text = ""};

	assert_null(engine_open("kvm", &opt, &err));
	assert_string_equal(err.text, sentence);
}

static void device_that_is_missing_is_named(void **state)
{
	expect_refused("/nonexistent/kvm", "kvm: /nonexistent/kvm: No such file or directory");
}

static void device_of_another_kind_is_refused(void **state)
{
	expect_refused("/dev/null", "kvm: /dev/null is not a KVM device");
	expect_refused("/dev/zero", "kvm: /dev/zero is not a KVM device");
}

static struct engine *open_kvm(void)
{
	struct error err = {.text = ""};

	if (access("/dev/kvm", R_OK | W_OK)) {
		print_message("SKIP: /dev/kvm cannot be opened here\n");
		skip();
	}
	struct engine *e = engine_open("kvm", NULL, &err);
	if (!e)
		fail_msg("%s", err.text);
	return e;
}

static void model_is_cut_to_what_kvm_supports(void **state)
{
	struct engine *e = open_kvm();
	struct cpuid_table *model = calloc(1, sizeof(*model)), *cut = calloc(1, sizeof(*cut));
	uint32_t before[NR_CPUID_WORDS], after[NR_CPUID_WORDS];

	assert_int_equal(cpuid_model("host", model, NULL), 0);
	*cut = *model;
	assert_int_equal(engine_filter_cpuid(e, cut, NULL), 0);
	cpuid_feature_words(model, before);
	cpuid_feature_words(cut, after);
	for (unsigned i = 0; i < NR_CPUID_WORDS; i++)
		assert_int_equal(after[i] & ~before[i], 0);
	assert_true(cpuid_has(cut, FEAT_LM));
	assert_true(cpuid_has(cut, FEAT_X2APIC));
	assert_true(after[CPUID_1_ECX] & BIT(31)); /* a hypervisor is present */
	/* Filtering again takes nothing more away. */
	*model = *cut;
	assert_int_equal(engine_filter_cpuid(e, cut, NULL), 0);
	assert_memory_equal(model, cut, sizeof(*model));
	free(model);
	free(cut);
	engine_close(e);
}

static void room_for_many_vcpus(void **state)
{
	struct engine *e = open_kvm();

	assert_string_equal(engine_name(e), "kvm");
	assert_true(engine_max_vcpus(e) >= 4);
	engine_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_that_is_missing_is_named),
		cmocka_unit_test(device_of_another_kind_is_refused),
		cmocka_unit_test(model_is_cut_to_what_kvm_supports),
		cmocka_unit_test(room_for_many_vcpus),
	};

	return cmocka_run_group_tests_name("engine/kvm", tests, NULL, NULL);
}
